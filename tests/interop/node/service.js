// Microsoft's Node service SDKs, of DPS and of IoT Hub, driven by a test (judge.js says how).
'use strict';
const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');
const { Client, Registry } = require('azure-iothub');
const { serve, called } = require('./judge');

const parts = {};

// What a call gave, without the functions and private fields that the SDK hangs onto it.
function plain(value) {
  return JSON.parse(JSON.stringify(value === undefined ? null : value, (key, inner) =>
    key.startsWith('_') ? undefined : inner));
}

serve({
  dps: ({ connectionString }) => {
    parts.dps = ProvisioningServiceClient.fromConnectionString(connectionString);
  },
  hub: ({ connectionString }) => {
    parts.registry = Registry.fromConnectionString(connectionString);
    parts.client = Client.fromConnectionString(connectionString);
  },
  // part: dps, registry or client; any of its methods.
  call: async ({ part, method, args }) => plain(await called(parts[part], method, ...args)),
  // Every page of a query; method: a maker of queries.
  pages: async ({ part, method, args }) => {
    const query = parts[part][method](...args);
    const pages = [];
    do {
      pages.push(plain(await called(query, 'next')));
    } while (query.hasMoreResults && pages.length < 100);
    return pages;
  },
  // A Twin object of the SDK's, and one of its methods.
  twin: async ({ deviceId, method, args }) => {
    const twin = await called(parts.registry, 'getTwin', deviceId);
    return plain(await called(twin, method, ...args));
  },
});
