"use strict";
// Everything from the daemon is put in as text, never as markup.

const EVERY_MS = 3000;
const byId = (id) => document.getElementById(id);
const more = (others) => (others.length ? ` and ${others.length} more` : "");
const short = (hex) => (hex && hex.length > 14 ? `${hex.slice(0, 8)}…${hex.slice(-4)}` : hex ?? "");

function decimal(text, digits, shown) {
  const value = BigInt(text);
  const size = value < 0n ? -value : value;
  const unit = 10n ** BigInt(digits);
  const fraction = (size % unit).toString().padStart(digits, "0").slice(0, shown);
  return `${value < 0n ? "−" : ""}${(size / unit).toLocaleString("en")}.${fraction}`;
}
const ether = (text) => decimal(text, 18, 6);
const gwei = (text) => `${decimal(text, 9, 2)} gwei`;
const factor = (text) => (text.length > 24 ? "∞" : decimal(text, 18, 5));

function table(id, columns, rows, empty) {
  const head = document.createElement("tr");
  for (const [name, kind] of columns) head.append(cell("th", name, kind === "mono" ? "" : kind));
  const body = rows.flatMap((row) => {
    const line = document.createElement("tr");
    for (const [, kind, read] of columns) line.append(cell("td", read(row), kind));
    return [line, ...below(columns, row)];
  });
  if (!body.length) {
    const none = cell("td", empty, "none");
    none.colSpan = columns.length;
    const line = document.createElement("tr");
    line.append(none);
    body.push(line);
  }
  byId(id).replaceChildren(head, ...body);
}

// Where there is no room beside them, texts stand under their row: the sheet shows one or the other.
function below(columns, row) {
  return columns.filter(([, kind, read]) => kind === "text" && read(row)).map(([, , read]) => {
    const line = document.createElement("tr");
    line.className = "below";
    line.append(cell("td", read(row), "text"));
    line.firstChild.colSpan = columns.length;
    return line;
  });
}

function cell(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = String(text ?? "");
  if (kind) made.className = kind;
  return made;
}

function list(id, pairs) {
  byId(id).replaceChildren(
    ...pairs.flatMap(([name, text, kind]) => [cell("dt", name), cell("dd", text, kind)]),
  );
}

function show(status) {
  byId("chain").textContent = `on ${status.chain} (${status.chain_id})`;
  byId("native").textContent = status.native;
  byId("standing").textContent =
    `${status.armed ? "ARMED" : "disarmed"}, lane ${status.lane}, up ${status.up_s} s, version ${status.version}`;
  problems(status.problems);
  const guards = status.guards;
  list("guards", [
    ["Sending", guards.halted ? `halted: ${guards.halted}` : "allowed", guards.halted ? "bad" : "good"],
    ["Gas in an hour", `${ether(guards.gas_hour)} of ${ether(guards.gas_hour_most)}`],
    ["Gas in a day", `${ether(guards.gas_day)} of ${ether(guards.gas_day_most)}`],
    ["At stake", ether(guards.at_stake)],
    ["In flight", `${guards.in_flight} of ${guards.in_flight_most}`],
    ["Gas price cap", gwei(guards.gas_price_most)],
    ["Least profit", ether(guards.min_profit)],
    ["Balance floor", ether(guards.min_balance)],
    ...Object.entries(guards.forced).map(
      ([name, one]) => [`Forced losses of ${name}`, `${ether(one.taken)} of ${ether(one.most)}`],
    ),
    ...Object.entries(guards.totals).map(
      ([name, [taken, most]]) => [`All chains: ${name}`, `${taken} of ${most}`],
    ),
  ]);
  list("books", [day("A day", status.books.day), day("All", status.books.all)].flat());
  table("deployments", [
    ["Name", "", (one) => one.name],
    ["Block", "number", (one) => one.block],
    ["Seen", "number", (one) => `${one.age_s} s ago`],
    ["Accounts", "number", (one) => one.accounts],
    ["Under the line", "number", (one) => one.under],
    ["Said", "text", (one) => one.paused || one.skipped || one.moved],
  ], status.deployments, "none");
  table("nodes", [
    ["Name", "", (one) => one.name],
    ["", "", (one) => (one.is_active ? "asked first" : "")],
    ["Block", "number", (one) => one.block],
    ["Trouble", "text", (one) => one.trouble],
  ], status.nodes, "none");
  table("in_flight", [
    ["Account", "mono", (one) => short(one.account) + more(one.companions)],
    ["Nonce", "number", (one) => one.nonce],
    ["Transaction", "mono", (one) => short(one.tx)],
    ["For", "", (one) => one.purpose],
    ["Lane", "", (one) => one.lane],
    ["Aims at", "number", (one) => one.target_block],
    ["Most per gas", "number", (one) => gwei(one.max_fee)],
    ["Tries", "number", (one) => one.attempts],
  ], status.in_flight, "nothing");
  // One deployment alone need not be named in each row.
  const whose = status.deployments.length > 1 ? [["Deployment", "", (one) => one.deployment]] : [];
  const close = status.deployments.flatMap((one) =>
    one.closest.map((account) => ({ deployment: one.name, ...account })));
  close.sort((a, b) => (BigInt(a.health_factor) < BigInt(b.health_factor) ? -1 : 1));
  table("closest", [
    ...whose,
    ["Account", "mono", (one) => short(one.account)],
    ["Health factor", "number", (one) => factor(one.health_factor)],
    ["", "", (one) => (one.liquidatable ? "liquidatable" : "")],
  ], close.slice(0, 25), "nobody is known");
  table("rejections", [
    ...whose,
    ["Account", "mono", (one) => short(one.account)],
    ["Block", "number", (one) => one.block],
    ["Reason", "", (one) => one.reason],
    ["Detail", "text", (one) => one.said],
  ], status.rejections.slice(0, 25), "nobody");
  table("outcomes", [
    ...whose,
    ["Account", "mono", (one) => short(one.account)],
    ["Block", "number", (one) => one.block],
    ["Status", "", (one) => one.status],
    ["Net", "number", (one) => ether(one.net)],
    ["Transaction", "mono", (one) => short(one.tx)],
    ["Detail", "text", (one) => one.said],
  ], status.outcomes.slice(0, 25), "none");
}

function day(name, sums) {
  const counts = Object.entries(sums.counts).map(([status, count]) => `${count} ${status}`);
  return [
    [`${name}: net`, ether(sums.net), BigInt(sums.net) < 0n ? "bad" : "good"],
    [`${name}: gas`, ether(sums.gas)],
    [`${name}: outcomes`, counts.join(", ") || "none"],
  ];
}

function problems(found) {
  byId("problems").hidden = !found.length;
  byId("problems").textContent = found.join("\n");
}

async function look() {
  try {
    const answer = await fetch("/status.json");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    problems([`the daemon does not answer: ${error.message}`]);
  }
  setTimeout(look, EVERY_MS);
}

look();
