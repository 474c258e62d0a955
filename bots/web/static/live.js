"use strict";
// A page with a stream, live: what is written just now is put there as text, and anything that was stored brings its
// middle anew from the server, unless somebody is filling in a form there.
(() => {
  const middle = document.querySelector("[data-events]");
  const source = middle && middle.dataset.events;
  if (!source || !window.EventSource) return;
  let isDue = false, timer = 0, streamed = "";

  function put() {
    const live = document.getElementById("live");
    if (live) live.textContent = streamed;
  }
  function isTyping() {
    const at = document.activeElement;
    return middle.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
  }
  function refresh() {
    timer = 0;
    if (isTyping()) { isDue = true; return; }
    isDue = false;
    document.body.dispatchEvent(new Event("changed"));
  }
  function change() { if (!timer) timer = setTimeout(refresh, 150); }

  middle.addEventListener("focusout", () => { if (isDue) change(); });
  // Steps that were opened stay open when the middle come anew.
  let opened = [];
  document.body.addEventListener("htmx:beforeSwap", () => {
    opened = [...middle.querySelectorAll("details")].map((one) => one.open);
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    middle.querySelectorAll("details").forEach((one, at) => { one.open = Boolean(opened[at]); });
    put();
  });

  const events = new EventSource(source);
  const on = (kinds, act) => kinds.forEach((kind) => events.addEventListener(kind, act));
  on(["text_streamed"], (message) => { streamed += JSON.parse(message.data).event.text; put(); });
  on(["live_text_dropped"], () => { streamed = ""; put(); });
  on(["missed", "waiting_changed", "text_written", "tool_started", "turn_started", "turn_finished"], () => { streamed = ""; change(); });
  on(["agent_ready", "thinking_done", "tool_finished", "tool_failed", "tasks_changed", "approval_asked",
    "approval_settled", "message_steered", "model_retried", "context_compacted", "agent_restarted", "noticed"], change);
})();
