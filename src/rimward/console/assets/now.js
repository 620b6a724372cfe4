// Keeps the page's parts up to date from /events. A part is changed in place, so that a selection, an open
// list and the keyboard focus survive.

const lost = document.getElementById("lost");
let version = document.body.dataset.version;
let source = null;
let lastNews = Date.now();

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id;
}

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function children(old, fresh) {
  const now = [...old.childNodes];
  const next = [...fresh.childNodes];
  next.forEach((node, index) => {
    const there = now[index];
    if (!there) old.append(node);
    else if (!sameKind(there, node)) there.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) {
      if (there.data !== node.data) there.data = node.data;
    } else {
      attributes(there, node);
      children(there, node);
    }
  });
  now.slice(next.length).forEach((node) => node.remove());
}

function take(event) {
  for (const [id, html] of Object.entries(JSON.parse(event.data))) {
    const part = document.getElementById(id);
    if (!part) continue;
    const fresh = document.createElement("template");
    fresh.innerHTML = html; // written and escaped by the server
    children(part, fresh.content);
  }
  version = event.lastEventId;
  heard();
}

function heard() {
  lastNews = Date.now();
  lost.hidden = true;
}

function silent() {
  const seconds = Math.round((Date.now() - lastNews) / 1000);
  if (document.hidden || seconds < 5) return;
  const refused = source.readyState === EventSource.CLOSED ? " Open the link that rimward dev prints." : "";
  lost.textContent = `The console does not answer: these figures are stale for ${seconds} s.${refused}`;
  lost.hidden = false;
}

function connect() {
  source = new EventSource(`/events?after=${encodeURIComponent(version)}`);
  source.onmessage = take;
  source.onopen = heard;
  source.addEventListener("beat", heard);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source.close();
  } else {
    lastNews = Date.now();
    connect();
  }
});

setInterval(silent, 1000);
connect();
