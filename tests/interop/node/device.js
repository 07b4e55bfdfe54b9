// Microsoft's Node device and provisioning SDKs, driven by a test (judge.js says how).
'use strict';
const { Client, Message, SharedAccessKeyAuthenticationProvider } = require('azure-iot-device');
const provisioning = require('azure-iot-provisioning-device');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { X509Security } = require('azure-iot-security-x509');
const { serve, called, event } = require('./judge');

const HUB = {
  mqtt: () => require('azure-iot-device-mqtt').Mqtt,
  ws: () => require('azure-iot-device-mqtt').MqttWs,
  http: () => require('azure-iot-device-http').Http,
};
const DPS = {
  mqtt: () => require('azure-iot-provisioning-device-mqtt').Mqtt,
  ws: () => require('azure-iot-provisioning-device-mqtt').MqttWs,
  http: () => require('azure-iot-provisioning-device-http').Http,
};
let client, twin;
let taken = [];

// x509: {cert, key}, both PEM, in place of a key.
async function register({ transport, host, idScope, registrationId, key, x509, payload }) {
  const Transport = DPS[transport]();
  const security = x509
    ? new X509Security(registrationId, x509)
    : new SymmetricKeySecurityClient(registrationId, key);
  const device = provisioning.ProvisioningDeviceClient.create(
    host, idScope, new Transport(), security);
  if (payload) device.setProvisioningPayload(payload);
  return called(device, 'register');
}

// token: {validS, marginS}, so that the SDK renews it within the test.
async function connect({ transport, connectionString, token, x509 }) {
  if (x509) {
    client = Client.fromConnectionString(connectionString, HUB[transport]());
    client.setOptions(x509, () => {});  // at once, but over HTTP it never says so
  } else {
    const provider = SharedAccessKeyAuthenticationProvider.fromConnectionString(
      connectionString, token && token.validS, token && token.marginS);
    client = Client.fromAuthenticationProvider(provider, HUB[transport]());
  }
  twin = undefined;
  client.on('connect', () => event('connect'));
  client.on('disconnect', () => event('disconnect'));
  client.on('error', (error) => event('error', error.message));
  await called(client, 'open');
}

function made({ body, properties, ...system }) {
  const message = new Message(body);
  Object.assign(message, system);
  for (const [key, value] of Object.entries(properties || {})) message.properties.add(key, value);
  return message;
}

// settle: complete, reject or abandon each as it comes; or keep, for the request `settle`.
function listen({ settle, everyS }) {
  if (everyS) client.setOptions({ http: { receivePolicy: { interval: everyS } } });
  client.on('message', (message) => {
    const properties = {};
    for (const { key, value } of message.properties.propertyList) properties[key] = value;
    taken.push(message);
    event('message', {
      body: message.getData().toString(),
      properties,
      messageId: message.messageId,
      correlationId: message.correlationId,
      userId: message.userId && String(message.userId),
      expiryTimeUtc: message.expiryTimeUtc,
      to: message.to,
    });
    if (settle) client[settle](message, (error) => event('settled', error && error.message));
  });
}

function method({ name, status, payload }) {
  client.onDeviceMethod(name, (request, response) => {
    event('method', { name: request.methodName, payload: request.payload });
    response.send(status, payload, (error) => event('answered', error && error.message));
  });
}

async function readTwin() {
  if (!twin) {
    twin = await called(client, 'getTwin');
    twin.on('properties.desired', (patch) => event('desired', patch));
  } else {
    await called(twin, 'get');
  }
  const { desired, reported } = JSON.parse(JSON.stringify(twin.properties));
  return { desired, reported };
}

serve({
  register,
  connect,
  send: (message) => called(client, 'sendEvent', made(message)).then(() => null),
  batch: ({ messages }) => called(client, 'sendEventBatch', messages.map(made)).then(() => null),
  listen,
  method,
  twin: readTwin,
  report: ({ patch }) => called(twin.properties.reported, 'update', patch).then(() => null),
  close: () => called(client, 'close').then(() => null),
});
