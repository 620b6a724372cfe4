// Node-RED without editor, admin API, telemetry or logs: only the flow runs.
module.exports = {
  httpAdminRoot: false,
  httpNodeRoot: false,
  disableEditor: true,
  credentialSecret: false,
  diagnostics: { enabled: false, ui: false },
  telemetry: { enabled: false, updateNotification: false },
  externalModules: { autoInstall: false },
  logging: { console: { level: "warn", metrics: false, audit: false } },
};
