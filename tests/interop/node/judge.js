// Drives Microsoft's Node SDKs from a test: a request a line on stdin, an answer a line on stdout.
// Never prints a secret of its own accord, and holds none but in memory: keys come by stdin.
//
//   -> {"id": 1, "do": "send", "with": {"body": "21.5"}}
//   <- {"id": 1, "result": null}      or  {"id": 1, "error": {"name": "...", "message": "..."}}
//   <- {"event": "message", "data": {"body": "..."}}      at any time
'use strict';
const readline = require('node:readline');

function say(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

// What an SDK's error tells a program that uses it.
function told(error) {
  const response = error.response || {};
  return {
    name: error.name || 'Error',
    message: String(error.message),
    status: response.statusCode || null,
    body: error.responseBody || null,
  };
}

// Serve the requests, one after another, until stdin ends. deeds: name -> async (args) => result.
function serve(deeds) {
  let last = Promise.resolve();
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const { id, do: name, with: args } = JSON.parse(line);
    last = last
      .then(() => deeds[name](args || {}))
      .then((result) => say({ id, result: result === undefined ? null : result }))
      .catch((error) => say({ id, error: told(error) }));
  });
  lines.on('close', () => last.then(() => process.exit(0)));
}

// A call of the old form, whose last argument is a callback, as a promise. Some of the SDK's
// promises never settle (runBulkEnrollmentOperation), so every call goes this way.
function called(object, method, ...args) {
  return new Promise((resolve, reject) => {
    object[method](...args, (error, ...results) => {
      if (error) reject(error);
      else resolve(results[0]);
    });
  });
}

function event(name, data) {
  say({ event: name, data: data === undefined ? null : data });
}

module.exports = { serve, called, event };
