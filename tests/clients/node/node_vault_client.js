// node-vault (unmodified, from npm) through a server's whole life.
// Reads VAULT_ADDR and VAULT_CACERT of a server that isn't initialised; prints `ok NAME` or `FAIL NAME: why`.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');

const options = {
  endpoint: process.env.VAULT_ADDR,
  requestOptions: { ca: fs.readFileSync(process.env.VAULT_CACERT) },
};
delete process.env.VAULT_TOKEN;
const connect = (token) => require('node-vault')({ ...options, token });

const vault = connect();
let shares = [];
let root = '';

async function untilActive() {
  for (let i = 0; i < 200; i++) {
    const health = await vault.health();
    if (health.initialized && !health.sealed && !health.standby) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('not active');
}

function refused(promise, status, text) {
  return assert.rejects(promise, (error) => {
    assert.equal(error.response && error.response.statusCode, status, error.message);
    if (text) assert.match(error.message, text);
    return true;
  });
}

const steps = {
  async init() {
    assert.equal((await vault.initialized()).initialized, false);
    const made = await vault.init({ secret_shares: 3, secret_threshold: 2 });
    assert.equal(made.keys.length, 3);
    shares = made.keys;
    root = made.root_token;
  },
  async unseal() {
    const first = await vault.unseal({ key: shares[0] });
    assert.equal(first.sealed, true);
    assert.equal(first.progress, 1);
    assert.equal((await vault.unseal({ key: shares[1] })).sealed, false);
    await untilActive();
    assert.equal((await vault.status()).sealed, false);
  },
  async mounts() {
    await vault.mount({ mount_point: 'one', type: 'kv', options: { version: '1' } });
    await vault.mount({ mount_point: 'two', type: 'kv', options: { version: '2' } });
    const mounts = await vault.mounts();
    assert.equal(mounts.data['two/'].options.version, '2');
    assert.equal(mounts['one/'].type, 'kv');
    await vault.mount({ mount_point: 'old', type: 'kv' });
    await vault.remount({ from: 'old', to: 'new' });
    await vault.unmount({ mount_point: 'none' });
    assert.ok((await vault.auths())['token/']);
  },
  async policies() {
    await vault.addPolicy({
      name: 'reader',
      rules: 'path "one/*" { capabilities = ["read", "list"] }',
    });
    assert.ok((await vault.policies()).policies.includes('reader'));
    assert.match((await vault.getPolicy({ name: 'reader' })).rules, /one/);
    await vault.addPolicy({ name: 'gone', rules: 'path "x" { policy = "read" }' });
    await vault.removePolicy({ name: 'gone' });
    await refused(vault.getPolicy({ name: 'gone' }), 404);
    await refused(vault.addPolicy({ name: 'bad', rules: 'path {' }), 400, /failed to parse policy/);
  },
  async tokens() {
    const made = await vault.tokenCreate({ policies: ['reader'], ttl: '1h', meta: { by: 'node' } });
    vault.token = root;
    const child = connect(made.auth.client_token);
    const self = await child.tokenLookupSelf();
    assert.deepEqual(self.data.policies, ['default', 'reader']);
    assert.deepEqual(self.data.meta, { by: 'node' });
    assert.equal((await child.tokenRenewSelf({ increment: '2h' })).auth.lease_duration, 7200);
    assert.equal((await vault.tokenLookup({ token: made.auth.client_token })).data.orphan, false);
    const accessors = await vault.tokenAccessors();
    assert.ok(accessors.data.keys.includes(made.auth.accessor));
    const byAccessor = await vault.tokenLookupAccessor({ accessor: made.auth.accessor });
    assert.equal(byAccessor.data.accessor, made.auth.accessor);
    assert.equal((await vault.tokenCreateOrphan({ policies: ['reader'] })).auth.orphan, true);
    vault.token = root;
    await refused(child.mounts(), 403, /permission denied/);
    await vault.tokenRevoke({ token: made.auth.client_token });
    await refused(child.tokenLookupSelf(), 403);
  },
  async 'token roles'() {
    await vault.addTokenRole({ role_name: 'app', allowed_policies: 'reader', orphan: true });
    assert.deepEqual((await vault.tokenRoles()).data.keys, ['app']);
    assert.equal((await vault.getTokenRole({ role_name: 'app' })).data.orphan, true);
    const made = await vault.tokenCreateRole({ role_name: 'app', policies: ['reader'] });
    assert.equal(made.auth.orphan, true);
    vault.token = root;
    await vault.removeTokenRole({ role_name: 'app' });
  },
  async 'kv version 1'() {
    await vault.write('one/a/b', { k: 'v', n: 3 });
    const read = await vault.read('one/a/b');
    assert.deepEqual(read.data, { k: 'v', n: 3 });
    assert.equal(read.lease_duration, 2764800);
    assert.deepEqual((await vault.list('one/a')).data.keys, ['b']);
    await vault.delete('one/a/b');
    await refused(vault.read('one/a/b'), 404, /Status 404/);
  },
  async 'kv version 2'() {
    await vault.write('two/data/s', { data: { k: 'v' }, options: { cas: 0 } });
    await refused(vault.write('two/data/s', { data: {}, options: { cas: 0 } }), 400, /check-and-set/);
    await vault.update('two/data/s', { data: { l: 'w' } });
    const read = await vault.read('two/data/s');
    assert.deepEqual(read.data.data, { k: 'v', l: 'w' });
    assert.equal(read.data.metadata.version, 2);
    await vault.delete('two/data/s');
    await refused(vault.read('two/data/s'), 404);
    await vault.write('two/undelete/s', { versions: [2] });
    assert.deepEqual((await vault.list('two/metadata')).data.keys, ['s']);
    await vault.delete('two/metadata/s');
  },
  async wrapping() {
    await vault.write('one/w', { k: 'v' });
    const held = await vault.read('one/w', { headers: { 'X-Vault-Wrap-TTL': '60' } });
    assert.equal(held.wrap_info.ttl, 60);
    assert.deepEqual((await connect(held.wrap_info.token).unwrap()).data, { k: 'v' });
    await refused(connect(held.wrap_info.token).unwrap(), 400, /wrapping token is not valid/);
  },
  async 'rotate and rekey'() {
    const before = await vault.read('sys/key-status');
    await vault.rotate();
    assert.equal((await vault.read('sys/key-status')).term, before.term + 1);
    assert.equal((await vault.read('sys/rekey/init')).started, false);
    await vault.write('sys/rekey/init', { secret_shares: 2, secret_threshold: 2 });
    await vault.delete('sys/rekey/init');
    const started = await vault.write('sys/rekey/init', { secret_shares: 2, secret_threshold: 2 });
    await vault.write('sys/rekey/update', { key: shares[0], nonce: started.nonce });
    const done = await vault.write('sys/rekey/update', { key: shares[2], nonce: started.nonce });
    assert.equal(done.complete, true);
    shares = done.keys;
  },
  async seal() {
    await vault.seal();
    assert.equal((await vault.status()).sealed, true);
    await refused(vault.read('one/w'), 503, /Vault is sealed/);
    await vault.unseal({ key: shares[1] });
    await vault.unseal({ key: shares[0] });
    await untilActive();
    assert.deepEqual((await vault.read('one/w')).data, { k: 'v' });
  },
  async 'generate-root'() {
    assert.equal((await vault.read('sys/generate-root/attempt')).started, false);
    const started = await vault.generateRootInit({});
    await vault.generateRootUpdate({ key: shares[0], nonce: started.nonce });
    const done = await vault.generateRootUpdate({ key: shares[1], nonce: started.nonce });
    assert.equal(done.complete, true);
    const raw = Buffer.from(done.encoded_root_token, 'base64');
    const token = Buffer.from(raw.map((byte, i) => byte ^ started.otp.charCodeAt(i))).toString();
    assert.deepEqual((await connect(token).tokenLookupSelf()).data.policies, ['root']);
  },
};

(async () => {
  for (const [name, step] of Object.entries(steps)) {
    try {
      vault.token = root; // node-vault takes every token that it is given for its own
      await step();
      console.log(`ok ${name}`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`FAIL ${name}: ${error.stack.split('\n').slice(0, 4).join(' | ')}`);
    }
  }
})();
