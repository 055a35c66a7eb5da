// node-vault (unmodified, from npm) through the logins and engines that it has calls for; what
// `database` gives out logs in with psql, mariadb and redis-cli.
// Reads VAULT_ADDR and VAULT_CACERT of a server that isn't initialised, and DATABASES (a file that
// run.py wrote); prints `ok NAME` or `FAIL NAME: why`.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');

const WAIT_MS_MAX = 20000;
const folder = process.env.CLIENT_TEST_DIR;
const databases = JSON.parse(fs.readFileSync(process.env.DATABASES, 'utf8'));
const ca = fs.readFileSync(process.env.VAULT_CACERT);
delete process.env.VAULT_TOKEN;
const connect = (token, more) =>
  require('node-vault')({
    endpoint: process.env.VAULT_ADDR,
    requestOptions: { ca, ...more },
    token,
  });

const vault = connect();
let root = '';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const base64 = (text) => Buffer.from(text).toString('base64');

function refused(promise, ...statuses) {
  return assert.rejects(promise, (error) => {
    const status = error.response && error.response.statusCode;
    assert.ok(statuses.includes(status), `${status}: ${error.message}`);
    return true;
  });
}

// Whether the database's own client gets in as this user.
function logsIn(database, { username, password }) {
  const words = database.login_words.map((word) => word.replace('NAME', username));
  const env = { PATH: process.env.PATH, HOME: folder, [database.password_variable]: password };
  const done = spawnSync(words[0], words.slice(1), { env, encoding: 'utf8' });
  const said = done.stdout + done.stderr;
  return done.status === 0 && !database.refusals.some((word) => said.includes(word));
}

async function untilRefused(database, given) {
  for (const end = Date.now() + WAIT_MS_MAX; logsIn(database, given); ) {
    assert.ok(Date.now() < end, 'still works');
    await sleep(100);
  }
}

async function usersOf(kind) {
  const database = databases[kind];
  await vault.mount({ mount_point: `db-${kind}`, type: 'database' });
  await vault.write(`db-${kind}/config/main`, { ...database.config, allowed_roles: 'app,fixed' });
  await vault.write(`db-${kind}/roles/app`, {
    db_name: 'main',
    creation_statements: database.creation,
    default_ttl: '1h',
  });
  const at = kind === 'postgres' ? { databasePath: 'db-postgres' } : null;
  const ask = () =>
    at
      ? vault.generateDatabaseCredentials({ ...at, name: 'app' })
      : vault.read(`db-${kind}/creds/app`);
  const [one, two] = [await ask(), await ask()];
  assert.equal(one.lease_duration, 3600);
  assert.ok(logsIn(database, one.data) && logsIn(database, two.data));
  assert.ok(!logsIn(database, { ...one.data, password: 'wrong' }));
  const renewed = await vault.renew({ lease_id: one.lease_id, increment: 1800 });
  assert.equal(renewed.lease_duration, 1800);
  await vault.revoke({ lease_id: one.lease_id });
  await untilRefused(database, one.data);
  assert.ok(logsIn(database, two.data));
  await vault.write(`sys/leases/revoke-prefix/db-${kind}/creds/app`, {});
  await untilRefused(database, two.data);

  await vault.write(`db-${kind}/static-roles/fixed`, {
    db_name: 'main',
    username: database.fixed,
    rotation_period: '1h',
  });
  const first = (await vault.read(`db-${kind}/static-creds/fixed`)).data;
  assert.ok(logsIn(database, first));
  await vault.write(`db-${kind}/rotate-role/fixed`, {});
  const second = (await vault.read(`db-${kind}/static-creds/fixed`)).data;
  assert.ok(logsIn(database, second) && !logsIn(database, first));
  await vault.write(`db-${kind}/rotate-root/main`, {});
  assert.ok(!logsIn(database, database.config));
  await vault.write(`db-${kind}/reset/main`, {});
  const after = await ask();
  assert.ok(logsIn(database, after.data));
  await vault.unmount({ mount_point: `db-${kind}` });
  await untilRefused(database, after.data);
}

// A token that a provider signs with its P-256 key.
function signed(key, claims) {
  const text = [{ alg: 'ES256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const signature = crypto.sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

// A key and a certificate that signs itself, for a client.
function certificate() {
  const [key, cert] = [`${folder}/client.key`, `${folder}/client.pem`];
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=ann'],
    ...['-addext', 'extendedKeyUsage=clientAuth', '-addext', 'basicConstraints=CA:FALSE'],
  ], { stdio: 'ignore' });
  return { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
}

const steps = {
  async start() {
    const made = await vault.init({ secret_shares: 1, secret_threshold: 1 });
    root = made.root_token;
    await vault.unseal({ key: made.keys[0] });
    for (let i = 0; i < 400; i++) {
      const health = await vault.health().catch(() => ({}));
      if (health.initialized && !health.sealed) return;
      await sleep(50);
    }
    throw new Error('not active');
  },
  postgres: () => usersOf('postgres'),
  mariadb: () => usersOf('mariadb'),
  redis: () => usersOf('redis'),
  async userpass() {
    await vault.enableAuth({ mount_point: 'userpass', type: 'userpass' });
    await vault.write('auth/userpass/users/ann', { password: 'one', token_policies: 'p' });
    const person = connect();
    const got = await person.userpassLogin({ username: 'ann', password: 'one' });
    assert.deepEqual(got.auth.token_policies, ['default', 'p']);
    assert.equal((await person.tokenLookupSelf()).data.display_name, 'userpass-ann');
    await refused(connect().userpassLogin({ username: 'ann', password: 'two' }), 400, 403);
    await person.tokenRevokeSelf();
    await refused(person.tokenLookupSelf(), 403);
  },
  async approle() {
    const role = { role_name: 'web' };
    await vault.enableAuth({ mount_point: 'approle', type: 'approle' });
    await vault.addApproleRole({ ...role, policies: 'web', token_ttl: 1200 });
    assert.deepEqual((await vault.approleRoles()).data.keys, ['web']);
    assert.equal((await vault.getApproleRole(role)).data.token_ttl, 1200);
    assert.ok((await vault.getApproleRoleId(role)).data.role_id);
    await vault.updateApproleRoleId({ ...role, role_id: 'the-web' });
    const ids = [];
    for (let i = 0; i < 2; i++) ids.push((await vault.getApproleRoleSecret(role)).data);
    const log = (one) => connect().approleLogin({ role_id: 'the-web', secret_id: one.secret_id });
    assert.deepEqual((await log(ids[0])).auth.token_policies, ['default', 'web']);
    assert.equal((await vault.approleSecretAccessors(role)).data.keys.length, 2);
    const first = { ...role, secret_id: ids[0].secret_id };
    assert.ok((await vault.approleSecretLookup(first)).data.creation_time);
    await vault.approleSecretDestroy(first);
    const second = { ...role, secret_id_accessor: ids[1].secret_id_accessor };
    assert.ok((await vault.approleSecretAccessorLookup(second)).data.creation_time);
    await vault.approleSecretAccessorDestroy(second);
    for (const one of ids) await refused(log(one), 400);
    await vault.deleteApproleRole(role);
    await refused(vault.getApproleRole(role), 404);
  },
  async jwt() {
    const { publicKey, privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    await vault.enableAuth({ mount_point: 'jwt', type: 'jwt' });
    await vault.write('auth/jwt/config', { jwt_validation_pubkeys: [pem] });
    const role = { role_type: 'jwt', user_claim: 'sub', bound_audiences: 'rekey' };
    await vault.write('auth/jwt/role/ci', { ...role, token_policies: 'ci' });
    const now = Math.floor(Date.now() / 1000);
    const claims = { sub: 'job', aud: 'rekey', iat: now, exp: now + 300 };
    const log = (token) => connect().jwtLogin({ role: 'ci', jwt: token });
    assert.deepEqual((await log(signed(privateKey, claims))).auth.token_policies, ['ci', 'default']);
    await refused(log(signed(privateKey, { ...claims, aud: 'other' })), 400);
    await refused(log(signed(privateKey, { ...claims, exp: now - 300 })), 400);
  },
  async kubernetes() {
    await vault.enableAuth({ mount_point: 'kubernetes', type: 'kubernetes' });
    await vault.write('auth/kubernetes/config', {
      kubernetes_host: 'https://localhost:1',
      kubernetes_ca_cert: ca.toString(),
    });
    // node-vault's own calls for such roles throw before they ask.
    const role = 'auth/kubernetes/role/web';
    await vault.write(role, {
      bound_service_account_names: 'web',
      bound_service_account_namespaces: 'shop',
    });
    assert.deepEqual((await vault.read(role)).data.bound_service_account_names, ['web']);
    await refused(connect().kubernetesLogin({ role: 'web', jwt: 'a.b.c' }), 400, 403);
    await vault.delete(role);
    await refused(vault.read(role), 404);
  },
  async cert() {
    const pair = certificate();
    await vault.enableAuth({ mount_point: 'cert', type: 'cert' });
    await vault.write('auth/cert/certs/ann', {
      certificate: pair.cert.toString(),
      token_policies: 'ops',
    });
    const got = await connect('', pair).certLogin();
    assert.deepEqual(got.auth.token_policies, ['default', 'ops']);
    await refused(connect('').certLogin(), 400, 403);
  },
  async 'tokens and roles'() {
    await vault.addTokenRole({ role_name: 'app', allowed_policies: 'reader', orphan: true });
    const made = await vault.tokenCreateRole({ role_name: 'app', policies: ['reader'], ttl: '1h' });
    vault.token = root;
    const { client_token: token, accessor } = made.auth;
    const renewed = await vault.tokenRenew({ token, increment: '2h' });
    vault.token = root;
    assert.equal(renewed.auth.lease_duration, 7200);
    await vault.tokenRevokeAccessor({ accessor });
    await refused(vault.tokenLookup({ token }), 403, 404);
    const parent = (await vault.tokenCreate({ policies: ['root'], ttl: '1h' })).auth.client_token;
    const child = (await connect(parent).tokenCreate({ ttl: '1h' })).auth.client_token;
    vault.token = root;
    await vault.tokenRevokeOrphan({ token: parent });
    assert.equal((await vault.tokenLookup({ token: child })).data.orphan, true);
  },
  async 'methods that are kept'() {
    for (const name of ['ldap', 'okta', 'radius', 'github', 'aws', 'gcp']) {
      await vault.enableAuth({ mount_point: name, type: name });
    }
    const person = { username: 'ann', password: 'x' };
    for (const login of [
      () => connect().ldapLogin(person),
      () => connect().oktaLogin(person),
      () => connect().radiusLogin(person),
      () => connect().githubLogin({ token: 'x' }),
      () => connect().gcpLogin({ role: 'dev', jwt: 'x' }),
      () =>
        connect().awsIamLogin({
          role: 'dev',
          iam_http_request_method: 'POST',
          iam_request_url: 'eA==',
          iam_request_body: 'eA==',
          iam_request_headers: 'eA==',
        }),
    ]) {
      await assert.rejects(login(), /not supported by this build/);
    }
  },
  async 'a second factor'() {
    const { accessor } = (await vault.auths()).data['userpass/'];
    const method = await vault.write('identity/mfa/method/totp', { issuer: 'rekey' });
    const { method_id: id } = method.data;
    await connect().userpassLogin({ username: 'ann', password: 'one' });
    const entity = (await vault.write('identity/lookup/entity', {
      alias_name: 'ann',
      alias_mount_accessor: accessor,
    })).data.id;
    const url = (await vault.write('identity/mfa/method/totp/admin-generate', {
      method_id: id,
      entity_id: entity,
    })).data.url;
    await vault.write('identity/mfa/login-enforcement/all', {
      mfa_method_ids: [id],
      auth_method_accessors: [accessor],
    });
    const held = await connect().userpassLogin({ username: 'ann', password: 'one' });
    assert.equal(held.auth.client_token, '');
    const { mfa_request_id: request, mfa_constraints: constraints } = held.auth.mfa_requirement;
    assert.equal(constraints.all.any[0].id, id);
    const validate = (code) =>
      connect().write('sys/mfa/validate', {
        mfa_request_id: request,
        mfa_payload: { [id]: [code] },
      });
    await refused(validate('000000'), 400, 403);
    const secret = new URL(url).searchParams.get('secret');
    const code = execFileSync('oathtool', ['--totp', '--base32', secret]).toString().trim();
    assert.ok((await validate(code)).auth.client_token);
    await refused(validate(code), 400, 403);
    await vault.delete('identity/mfa/login-enforcement/all');
  },
  async identity() {
    const made = await vault.write('identity/entity', { name: 'bob', policies: ['extra'] });
    assert.equal((await vault.read(`identity/entity/id/${made.data.id}`)).data.name, 'bob');
    const group = { name: 'devs', policies: ['dev'], member_entity_ids: [made.data.id] };
    await vault.write('identity/group', group);
    assert.ok((await vault.list('identity/group/name')).data.keys.includes('devs'));
    await vault.delete(`identity/entity/id/${made.data.id}`);
    await refused(vault.read(`identity/entity/id/${made.data.id}`), 404);
  },
  async transit() {
    await vault.mount({ mount_point: 'transit', type: 'transit' });
    await vault.transitCreateKey({ name: 'app' });
    assert.deepEqual((await vault.transitListKeys()).data.keys, ['app']);
    const sealed = await vault.encryptData({ name: 'app', plaintext: base64('hello') });
    const { ciphertext } = sealed.data;
    assert.equal(
      (await vault.decryptData({ name: 'app', ciphertext })).data.plaintext,
      base64('hello'),
    );
    await vault.write('transit/keys/app/rotate', {});
    const renewed = (await vault.rewrapData({ name: 'app', ciphertext })).data.ciphertext;
    assert.match(renewed, /^vault:v2:/);
    const batch = [{ plaintext: base64('a') }, { plaintext: base64('b') }];
    const many = await vault.encryptData({ name: 'app', batch_input: batch });
    assert.equal(many.data.batch_results.length, 2);
    assert.equal((await vault.transitReadKey({ name: 'app' })).data.latest_version, 2);
    await refused(vault.transitDeleteKey({ name: 'app' }), 400);
    await vault.write('transit/keys/app/config', { deletion_allowed: true });
    await vault.transitDeleteKey({ name: 'app' });
    await refused(vault.transitReadKey({ name: 'app' }), 404);
  },
  async 'audit devices'() {
    const file_path = `${folder}/node-audit.log`;
    await vault.enableAudit({ name: 'node', type: 'file', options: { file_path } });
    assert.ok((await vault.audits()).data['node/']);
    await vault.disableAudit({ name: 'node' });
    assert.ok(fs.statSync(file_path).size > 0);
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
      console.log(`FAIL ${name}: ${error.stack.split('\n').slice(0, 6).join(' | ')}`);
    }
  }
})();
