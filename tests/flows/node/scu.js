// One DIMSE action by dcmjs-dimse: the order comes as JSON on stdin, the result goes as one JSON line to stdout.
'use strict';
const fs = require('fs');
const { Client, log, requests, responses, constants } = require('dcmjs-dimse');

if (log && log.setLevel) log.setLevel('error');
const order = JSON.parse(fs.readFileSync(0, 'utf8'));
const result = { statuses: [], matches: [], received: [], error: null, rejected: null };

function request() {
  switch (order.action) {
    case 'echo':
      return [new requests.CEchoRequest()];
    case 'store':
      return order.files.map((file) => new requests.CStoreRequest(file));
    case 'find':
      return [requests.CFindRequest.createStudyFindRequest({ PatientID: order.patient, StudyInstanceUID: '', PatientName: '', StudyDate: '' })];
    case 'get':
      return [requests.CGetRequest.createStudyGetRequest(order.study)];
    case 'move':
      return [requests.CMoveRequest.createStudyMoveRequest(order.destination, order.study)];
    default:
      throw new Error(`unknown action ${order.action}`);
  }
}

const client = new Client();
for (const one of request()) {
  one.on('response', (response) => {
    const status = response.getStatus();
    result.statuses.push(status);
    if (order.action === 'find' && status === constants.Status.Pending && response.hasDataset()) {
      result.matches.push(response.getDataset().getElements().StudyInstanceUID);
    }
  });
  client.addRequest(one);
}
client.on('cStoreRequest', (incoming, callback) => {
  result.received.push(incoming.getAffectedSopInstanceUid());
  const response = responses.CStoreResponse.fromRequest(incoming);
  response.setStatus(constants.Status.Success);
  callback(response);
});
client.on('associationRejected', (why) => { result.rejected = why; });
client.on('networkError', (error) => { result.error = String(error && error.message ? error.message : error); });
client.on('closed', () => finish());

let finished = false;
function finish() {
  if (finished) return;
  finished = true;
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0));
}
setTimeout(finish, 40000).unref();

const options = {};
if (order.tls) {
  options.securityOptions = {
    key: fs.readFileSync(order.tls.key),
    cert: fs.readFileSync(order.tls.cert),
    ca: fs.readFileSync(order.tls.ca),
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  };
}
client.send('127.0.0.1', order.port, order.calling, order.called, options);
