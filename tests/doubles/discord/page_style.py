"""How `page.py` looks (Discord's dark theme, near enough) and the script that keeps it current and clickable."""

STYLE = """
*{box-sizing:border-box}
body{margin:0;display:flex;height:100vh;background:#313338;color:#dbdee1;font:16px/1.375 "gg sans","Noto Sans",Helvetica,Arial,sans-serif}
nav{width:240px;background:#2b2d31;padding:12px 8px;overflow:auto;flex:none}
nav h4{margin:12px 8px 4px;font-size:12px;text-transform:uppercase;color:#949ba4}
nav a{display:block;padding:6px 8px;border-radius:4px;color:#949ba4;text-decoration:none;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
nav a.thread{margin-left:18px;font-size:14px}nav a.current{background:#404249;color:#fff}nav a.archived{opacity:.5}
.hash{color:#80848e;margin-right:6px}
main{flex:1;display:flex;flex-direction:column;min-width:0}
header{padding:12px 16px;border-bottom:1px solid #1f2023;color:#f2f3f5;flex:none}
#messages{overflow:auto;padding:16px 0 24px;flex:1}
article{display:flex;padding:2px 48px 2px 16px;margin-top:17px;position:relative}article.joined{margin-top:0;padding-left:72px}
article:hover{background:#2e3035}article.hidden{background:#2b2e4a}
.face{width:40px;height:40px;border-radius:50%;margin-right:16px;flex:none;display:grid;place-items:center;color:#fff;font-weight:600}
.body{min-width:0;max-width:900px;flex:1;overflow-wrap:anywhere}
.head b{color:#f2f3f5;font-weight:500}.head time{font-size:12px;color:#949ba4;margin-left:8px}
.app{background:#5865f2;color:#fff;font-size:10px;font-weight:600;border-radius:3px;padding:1px 4px;margin-left:5px;vertical-align:2px}
.reply,.edited,.only,.under{font-size:13px;color:#949ba4}.edited{font-size:10px}.under{margin-top:6px;background:#2b2d31;border-radius:4px;padding:6px 10px;width:fit-content}
a{color:#00a8fc;text-decoration:none}.mention{background:#3c4270;color:#c9cdfb;border-radius:3px;padding:0 2px}.moment{background:#3a3c42;border-radius:3px;padding:0 2px}
h1,h2,h3{margin:8px 0 4px;color:#f2f3f5;line-height:1.3}h1{font-size:24px}h2{font-size:20px}h3{font-size:16px}small{font-size:13px;color:#949ba4;display:block}
code{background:#2b2d31;border-radius:3px;padding:.1em .3em;font:85% Consolas,"DejaVu Sans Mono",monospace}
pre{background:#2b2d31;border:1px solid #1e1f22;border-radius:4px;padding:8px;margin:6px 0;overflow:auto}pre code{padding:0;background:none;font-size:14px}
.added{color:#57d18c}.removed{color:#ff7b72}.place{color:#79b8ff}.spoiler{background:#1e1f22;border-radius:3px}
blockquote{margin:2px 0;padding-left:12px;border-left:4px solid #4e5058}.bullet{display:flex}.bullet>span{width:20px;flex:none;text-align:center}
.container{background:#2b2d31;border:1px solid #3f4147;border-radius:8px;padding:16px;margin:4px 0;max-width:600px;display:flex;flex-direction:column;gap:8px}
.container code{background:#1e1f22}.container pre{background:#1e1f22}
.section{display:flex;justify-content:space-between;gap:16px;align-items:flex-start}.thumbnail{width:85px;height:85px;border-radius:8px;object-fit:cover}
hr{border:0;border-top:1px solid #46484f;margin:4px 0;width:100%}hr.wide{margin:12px 0}hr.blank{border-color:transparent}
.row{display:flex;flex-wrap:wrap;gap:8px;margin:4px 0}
.button{border:0;border-radius:8px;padding:7px 16px;font:500 14px inherit;font-family:inherit;color:#fff;cursor:pointer}
.primary{background:#5865f2}.secondary,.link{background:#4e5058}.success{background:#248046}.danger{background:#da373c}.button:disabled{opacity:.5;cursor:default}
select{background:#1e1f22;color:#dbdee1;border:1px solid #3f4147;border-radius:4px;padding:8px;min-width:280px;font:inherit}
.embed{background:#2b2d31;border-left:4px solid;border-radius:4px;padding:10px 16px;margin:4px 0;max-width:520px;font-size:14px}
.fields{display:grid;grid-template-columns:repeat(3,1fr);gap:8px;margin-top:8px}.fields>div:not(.inline){grid-column:1/-1}
.file{background:#2b2d31;border:1px solid #3f4147;border-radius:8px;padding:12px;margin:4px 0;display:flex;gap:8px;max-width:430px}
.picture{max-width:400px;max-height:300px;border-radius:8px;display:block;margin:4px 0}.gallery{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:4px;max-width:550px}.gallery img{width:100%;border-radius:8px}
.reactions{display:flex;gap:4px;margin-top:4px}.reactions span{background:#2b2d31;border:1px solid #3f4147;border-radius:8px;padding:2px 6px;font-size:14px}
dialog{background:#313338;color:#dbdee1;border:1px solid #1e1f22;border-radius:8px;width:440px}dialog::backdrop{background:#000a}
dialog label{display:block;margin:12px 0 4px;font-size:14px;font-weight:500}dialog input,dialog textarea{width:100%;background:#1e1f22;border:1px solid #3f4147;border-radius:4px;color:inherit;padding:8px;font:inherit}
"""

SCRIPT = """
const box = document.getElementById('messages'), modal = document.getElementById('modal');
box.scrollTop = box.scrollHeight;
async function ask(path, body) {
  const answer = await fetch('/_control/' + path, {method: 'POST', body: JSON.stringify({person: setup.person, ...body})});
  const seen = await answer.json();
  if (seen.modal) openModal(seen.modal);
  if (seen.ephemeral) alert(seen.ephemeral);
  if (seen.ack === 'failed') alert('This interaction failed');
}
function openModal(form) {
  modal.replaceChildren();
  const title = document.createElement('h2'); title.textContent = form.title; modal.append(title);
  for (const [name, field] of Object.entries(form.fields)) {
    const label = document.createElement('label'); label.textContent = field.label || name;
    const input = document.createElement(field.style === 2 ? 'textarea' : 'input');
    input.name = name; input.value = field.value || ''; modal.append(label, input);
  }
  const row = document.createElement('div'); row.className = 'row';
  const send = document.createElement('button'); send.className = 'button primary'; send.textContent = 'Submit';
  send.onclick = () => {
    const values = {}; for (const one of modal.querySelectorAll('input,textarea')) values[one.name] = one.value;
    modal.close(); ask('submit', {modal: form.key, values});
  };
  row.append(send); modal.append(row); modal.showModal();
}
document.addEventListener('click', event => {
  const button = event.target.closest('[data-click]');
  if (button) ask('click', {message: button.dataset.message, custom_id: button.dataset.click});
});
document.addEventListener('change', event => {
  const list = event.target.closest('[data-select]');
  if (list) ask('select', {message: list.dataset.message, custom_id: list.dataset.select, values: [...list.selectedOptions].map(one => one.value)});
});
let last = box.innerHTML;
setInterval(async () => {
  if (!setup.channel || document.activeElement.tagName === 'SELECT') return;
  const now = await (await fetch(`/_page?channel=${setup.channel}`)).text();
  if (now !== last) {
    const low = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
    last = now; box.innerHTML = now;
    if (low) box.scrollTop = box.scrollHeight;
  }
}, 400);
"""
