// Compile standard JSON from stdin to stdout with the soljson.js named as the first argument.
// soljson.js is an Emscripten build: its module answers through cwrap, and needs no npm packages.
"use strict";

const fs = require("fs");
const path = require("path");

const soljson = require(path.resolve(process.argv[2]));
const compile = soljson.cwrap("solidity_compile", "string", ["string", "number", "number"]);
process.stdout.write(compile(fs.readFileSync(0, "utf8"), 0, 0));
