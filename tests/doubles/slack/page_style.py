"""How `page.py` looks (Slack's light theme, near enough) and the script that keeps it current and clickable."""

STYLE = """
*{box-sizing:border-box}
body{margin:0;display:flex;height:100vh;background:#fff;color:#1d1c1d;font:15px/1.46668 Lato,"Noto Sans","Helvetica Neue",Helvetica,Arial,"Noto Color Emoji",sans-serif}
body.bare{height:auto;max-width:760px}
nav{width:250px;background:#3f0e40;color:#cfc3cf;padding:12px 0;overflow:auto;flex:none}
nav h4{margin:12px 16px 6px;font-size:16px;color:#fff}
nav a{display:block;padding:4px 16px;color:#cfc3cf;text-decoration:none;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
nav a.thread{padding-left:32px;font-size:13px}nav a.current{background:#1164a3;color:#fff}
main{flex:1;display:flex;flex-direction:column;min-width:0}
header{padding:12px 20px;border-bottom:1px solid #ddd;font-size:18px;flex:none}header span{font-size:13px;color:#616061;margin-left:6px}
#messages{overflow:auto;padding:12px 0 24px;flex:1}
article{display:flex;padding:8px 20px}article:hover{background:#f8f8f8}.bare article:hover{background:none}article.private{background:#f8f8f8}
.face{width:36px;height:36px;border-radius:6px;margin-right:10px;flex:none;display:grid;place-items:center;color:#fff;font-weight:700;font-size:17px}
.face.bot{background:linear-gradient(135deg,#d97757,#b4532f)}.face.gone{background:#ddd}
.body{min-width:0;max-width:680px;flex:1;overflow-wrap:anywhere}
.head b{font-weight:900}.head time{font-size:12px;color:#616061;margin-left:8px}
.app{background:#e8e8e8;color:#616061;font-size:10px;font-weight:700;border-radius:3px;padding:1px 3px;margin-left:5px;vertical-align:2px}
.small,.edited,.only,.status,.caption{font-size:13px;color:#616061}.edited{margin-left:4px;font-size:12px}.status{padding:4px 66px;font-style:italic}
.only{font-size:12px}.under{margin-top:4px;font-size:13px;font-weight:700}.cursor{color:#1264a3}
a{color:#1264a3;text-decoration:none}a:hover{text-decoration:underline}
.mention{background:#e8f5fa;color:#1264a3;border-radius:3px;padding:0 2px 1px}.mention.loud{background:#fff3d6}
.section{display:flex;gap:16px;align-items:flex-start;margin:4px 0}.grow{flex:1;min-width:0}.side{flex:none}
.fields{display:grid;grid-template-columns:1fr 1fr;gap:8px;margin-top:4px}
.title{font-size:18px;font-weight:900;margin:8px 0 4px;line-height:1.33}
.context{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:center;margin:4px 0}
.actions{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0}
.button{border:1px solid #bbb;border-radius:4px;padding:4px 12px;min-height:32px;font:700 13px/1.5 inherit;font-family:inherit;font-size:13px;font-weight:700;background:#fff;color:#1d1c1d;cursor:pointer}
.button.primary{background:#007a5a;border-color:#007a5a;color:#fff}.button.danger{background:#e01e5a;border-color:#e01e5a;color:#fff}.button.thumb{padding:4px 8px}
select{border:1px solid #bbb;border-radius:4px;padding:4px 8px;min-height:32px;font:inherit;font-size:13px;background:#fff;color:#1d1c1d;min-width:200px}
select.menu{min-width:0;width:44px;font-weight:700;appearance:none;text-align:center}
hr{border:0;border-top:1px solid #ddd;margin:12px 0}
code{background:#f6f6f6;border:1px solid #ddd;border-radius:3px;padding:1px 3px;color:#c01343;font:12px/1.5 Monaco,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{background:#f8f8f8;border:1px solid #ddd;border-radius:4px;padding:8px;margin:4px 0;overflow:auto;line-height:1.5}pre code{border:0;background:none;padding:0;color:#1d1c1d}
.added{color:#007a5a;background:#e6f4ee}.removed{color:#b3123f;background:#fdebf0}.place{color:#1264a3}
blockquote{margin:4px 0;padding-left:12px;border-left:4px solid #ddd}
ul,ol{margin:4px 0;padding-left:26px}.in1{margin-left:24px}.in2{margin-left:48px}
.markdown>p{margin:0 0 8px}.markdown h1,.markdown h2,.markdown h3,.markdown h4{margin:10px 0 4px;line-height:1.33}.markdown h1{font-size:20px}.markdown h2{font-size:18px}.markdown h3,.markdown h4{font-size:15px}
table{border-collapse:collapse;margin:6px 0;font-size:14px}th,td{border:1px solid #ddd;padding:5px 10px;text-align:left;vertical-align:top}th{background:#f8f8f8}
.plan{border:1px solid #ddd;border-radius:8px;padding:8px 12px;margin:4px 0}.task{display:flex;gap:8px;padding:2px 0}.task>span{width:16px;text-align:center;color:#616061}
.task.complete>span{color:#007a5a}.task.error>span{color:#e01e5a}.task.in_progress>span{color:#1264a3}
.picture{max-width:440px;max-height:320px;border-radius:6px;display:block;margin:4px 0}.thumbnail{width:88px;height:88px;border-radius:6px;object-fit:cover}.tiny{width:20px;height:20px;border-radius:3px}
.file{display:flex;gap:10px;align-items:center;border:1px solid #ddd;border-radius:8px;padding:10px 12px;margin:6px 0;max-width:400px}.file>span{font-size:24px}
.reactions{display:flex;flex-wrap:wrap;gap:4px;margin-top:4px}.reactions span{background:#f1f1f1;border-radius:12px;padding:1px 8px;font-size:13px}
.home{padding:12px 24px;max-width:760px}
dialog{border:0;border-radius:8px;width:520px;padding:20px 24px;color:inherit}dialog::backdrop{background:#0009}dialog h2{margin:0 0 12px;font-size:22px}
label{display:block;margin:14px 0 6px;font-weight:700}input,textarea{width:100%;border:1px solid #868686;border-radius:4px;padding:8px 12px;font:inherit}
.ends{display:flex;justify-content:flex-end;gap:8px;margin-top:20px}
"""

SCRIPT = """
const box = document.getElementById('messages'), modal = document.getElementById('modal');
box.scrollTop = box.scrollHeight;
async function ask(verb, body) {
  const answer = await fetch('/_control/' + verb, {method: 'POST', body: JSON.stringify({person: setup.person, ...body})});
  const seen = await answer.json();
  if (seen.error) alert(seen.error);
  if (seen.errors) alert(Object.values(seen.errors).join(' '));
  refresh();
}
function target(data) {
  return data.view ? {view: data.view} : {channel: data.channel, ts: data.ts};
}
document.addEventListener('click', event => {
  const hit = event.target.closest('[data-click],[data-submit],[data-close]');
  if (!hit) return;
  const data = hit.dataset;
  if (data.click) ask('click', {...target(data), action: data.click, ...(data.value ? {value: data.value} : {})});
  if (data.close) ask('close', {view: data.close});
  if (data.submit) {
    const values = {};
    for (const one of modal.querySelectorAll('[data-input]')) if (one.value) values[one.dataset.input] = one.value;
    ask('submit', {view: data.submit, values});
  }
});
document.addEventListener('change', event => {
  const list = event.target.closest('[data-select]');
  if (list && !list.dataset.input) ask('click', {...target(list.dataset), action: list.dataset.select, value: list.value});
});
let last = box.innerHTML, form = '';
async function refresh() {
  if (!setup.channel || (document.activeElement.tagName === 'SELECT' && !modal.open)) return;
  const query = new URLSearchParams({channel: setup.channel, person: setup.person, ...(setup.thread ? {thread: setup.thread} : {})});
  const now = await (await fetch('/_page?' + query)).json();
  if (now.messages !== last) {
    const low = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
    last = now.messages; box.innerHTML = now.messages;
    if (low) box.scrollTop = box.scrollHeight;
  }
  if (now.modal !== form) {
    form = now.modal; modal.innerHTML = form;
    if (form && !modal.open) modal.showModal();
    if (!form && modal.open) modal.close();
  }
}
setInterval(refresh, 400);
"""
