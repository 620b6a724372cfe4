// Node-RED for the window job: no editor, no admin API; functions may ask for the CPU time and say the result.
module.exports = {
  ...require("../../rig/peers/settings.cjs"),
  functionGlobalContext: {
    readings: require("node:fs").readFileSync(process.env.READINGS, "utf8").trimEnd().split("\n"),
    cpu: () => { const used = process.cpuUsage(); return used.user + used.system; }, // us
    say: (text) => console.log(text),
  },
};
