// The requests of the simulation, and whether their answers can be right.
#include "base/json.h"
#include "sim/sim.h"

namespace rekey::sim {

using base::ErrorKind;
using logical::Response;

namespace {

constexpr size_t kInFlightMax = 24;
constexpr int kTokensMax = 400;  // then the oldest ones are used no more

std::string row_path(int area, int key) {
  return "secret/data/a" + std::to_string(area) + "/k" + std::to_string(key);
}
std::string policy_name(int number) { return "p" + std::to_string(number); }

std::string policy_text(Value mask) {
  std::string text = R"(path "auth/token/create" { capabilities = ["create", "update"] })";
  for (int area = 0; area < kAreas; area++) {
    if (((mask >> area) & 1) == 0) continue;
    text += "\npath \"secret/data/a" + std::to_string(area) +
            "/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
  }
  return text;
}

// The canary is looked for in the record.
std::string value_text(Value value) { return "canary-" + std::to_string(value); }

Value value_in(const Response& response) {
  const auto json = base::Json::parse(response.data);
  const base::Json* data = json ? json->find("data") : nullptr;
  const std::string text = data == nullptr ? "" : data->string_or("v", "");
  return text.starts_with("canary-") ? std::stoll(text.substr(7)) : -2;
}

// Tokens of limited use and batch tokens make no tokens.
bool makes_nothing(const Token& token) { return token.uses_max != 0 || token.batch; }

}  // namespace

Simulation::Pick Simulation::make(logical::Operation kind, std::string path, std::string body,
                                  int token) {
  auto operation = std::make_shared<Operation>();
  operation->ask = {.operation = kind,
                    .path = std::move(path),
                    .body = std::move(body),
                    .token = token < 0 ? "hvs.madeup" : model_.token(token).text};
  operation->token = token;
  operation->pending = model_.begin(
      std::chrono::floor<std::chrono::seconds>(server_->now()).time_since_epoch().count());
  model_.depend(operation->pending, model_.sealed());
  if (token >= 0) {
    model_.depend_on_token(operation->pending, token);
    model_.token(token).begun++;
  }
  return operation;
}

void Simulation::begin(Pick operation) {
  requests_++;
  operation->begun = step_;
  trace("begin " + operation->ask.path + " " + operation->ask.body + " token " +
        std::to_string(operation->token));
  operation->id = server_->begin(
      operation->ask, [this, operation](Harness::Answer answer) { finish(*operation, answer); },
      below(server_->lanes()));
}

void Simulation::finish(Operation& operation, const Harness::Answer& answer) {
  trace("end " + operation.ask.path + " token " + std::to_string(operation.token) + ": " +
        (answer ? answer->data : answer.error().describe()));
  if (playing_dead_) {
    if (operation.unknown) operation.unknown();
  } else {
    judge(operation, answer);
  }
  model_.end(operation.pending);
}

bool Simulation::fault_excuses(const Operation& operation) const {
  return last_fault_ >= operation.begun || stormy_ || disk_->dead() ||
         !server_->record().health().reason.empty();
}

void Simulation::judge(Operation& operation, const Harness::Answer& answer) {
  const bool unrecorded = !answer && answer.error().kind() == ErrorKind::kUnavailable &&
                          answer.error().message().find("audit record") != std::string::npos;
  if (!unrecorded) answered_[operation.id] = logical::status_of(answer);
  if (answer) {
    served_++;
    judge_served(operation);
    if (operation.done) operation.done(*answer);
    return;
  }
  switch (answer.error().kind()) {
    case ErrorKind::kNotFound:
    case ErrorKind::kInvalid:
      judge_served(operation);
      if (operation.missing && answer.error().kind() == ErrorKind::kNotFound) operation.missing();
      if (operation.refused) operation.refused();
      return;
    case ErrorKind::kUnauthenticated:
      judge_unauthenticated(operation);
      if (operation.refused) operation.refused();
      return;
    case ErrorKind::kDenied:
      if (operation.token >= 0 && operation.area != Operation::kNoArea &&
          !(operation.area == Operation::kMaking && makes_nothing(model_.token(operation.token))) &&
          !model_.may_be_denied(*operation.pending, operation.token, operation.area)) {
        violated("denied what a policy allows: " + operation.ask.path);
      }
      if (operation.refused) operation.refused();
      return;
    case ErrorKind::kSealed:
      if (!operation.pending->seen[&model_.sealed()].contains(1)) violated("sealed, it said");
      break;
    default:
      faulty_++;
      if (!fault_excuses(operation)) {
        violated("an error without a fault: " + answer.error().describe());
      }
  }
  if (operation.unknown) operation.unknown();
}

// Invariants 2 and 3: whoever was served may have had a good token, a policy and an open barrier.
void Simulation::judge_served(Operation& operation) {
  if (operation.token < 0) return violated("a token that doesn't exist was served");
  if (!operation.pending->seen[&model_.sealed()].contains(0)) violated("served while sealed");
  Token& token = model_.token(operation.token);
  token.served++;
  if (!model_.may_live(*operation.pending, operation.token)) {
    violated("served token " + std::to_string(operation.token) + ", which is dead");
  }
  if (token.expiry_noticed_in == life_ && token.expiry_noticed_at < operation.begun) {
    violated("token " + std::to_string(operation.token) + " was expired and lives again");
  }
  if (operation.area != Operation::kNoArea &&
      !model_.may_be_allowed(*operation.pending, operation.token, operation.area)) {
    violated("served what no policy allows: " + operation.ask.path);
  }
}

void Simulation::judge_unauthenticated(Operation& operation) {
  if (operation.token < 0) return;
  // It may have been swept by a server whose clock was ahead of this one's.
  const int64_t now = latest_s_ =
      std::max(latest_s_,
               std::chrono::floor<std::chrono::seconds>(server_->now()).time_since_epoch().count());
  if (!model_.may_be_dead(*operation.pending, operation.token, now, life_)) {
    violated("refused token " + std::to_string(operation.token) + ", which is good");
  }
  // What is dead stays dead. Expired only as long as this server runs: where the clock is put
  // back while it is down, a token that was not swept yet has time left again.
  if (model_.may_have_expired(operation.token, now)) {
    model_.token(operation.token).expiry_noticed_in = life_;
    model_.token(operation.token).expiry_noticed_at = step_;
  } else {
    model_.settle(model_.token(operation.token).alive, 0);
  }
}

void Simulation::begin_something() {
  if (server_->in_flight() >= kInFlightMax) return go_on();
  switch (below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      return read_row(some_token(), static_cast<int>(below(kAreas)),
                      static_cast<int>(below(kKeys)));
    case 6:
    case 7:
    case 8:
    case 9:
      return write_row();
    case 10:
      return delete_row();
    case 11:
    case 12:
      return write_policy();
    case 13:
    case 14:
      return make_token();
    case 15:
    case 16:
      return revoke_token();
    case 17:
      return renew_token();
    case 18:
      return look_up_token();
    default:
      return chance(50) ? seal() : guess_token();
  }
}

// Root, or one of those made last.
int Simulation::some_token() {
  const int count = model_.tokens();
  const int from = count > kTokensMax ? count - kTokensMax : 0;
  if (chance(150)) return 0;
  return from + static_cast<int>(below(static_cast<uint64_t>(count - from)));
}

void Simulation::check_value(const Operation& operation, const Cell& cell,
                             const Response& response) {
  const Value value = value_in(response);
  if (!operation.pending->seen.at(&cell).contains(value)) {
    violated(operation.ask.path + " is " + response.data);
  }
}

void Simulation::read_row(int token, int area, int key) {
  Cell& cell = model_.row(area, key);
  auto operation = make(logical::Operation::kRead, row_path(area, key), "", token);
  operation->area = area;
  model_.depend(operation->pending, cell);
  Operation* one = operation.get();
  operation->done = [this, one, &cell](const Response& response) {
    check_value(*one, cell, response);
  };
  operation->missing = [this, one, &cell] {
    if (!one->pending->seen.at(&cell).contains(kAbsent)) {
      violated(one->ask.path + " was acknowledged and is not there");
    }
  };
  begin(std::move(operation));
}

// A change of one cell: may happen from now on, has happened, has not.
void Simulation::change(const Pick& operation, Cell& cell, Value value) {
  const std::set<Value> before = cell.possible;
  cell.busy = true;
  model_.add(cell, value);
  operation->done = [this, &cell, value](const Response&) {
    cell.busy = false;
    model_.settle(cell, value);
  };
  operation->refused = [this, &cell, before] {
    cell.busy = false;
    model_.restore(cell, before);
  };
  operation->unknown = [&cell] { cell.busy = false; };
}

void Simulation::write_row() {
  const int area = static_cast<int>(below(kAreas)), key = static_cast<int>(below(kKeys));
  Cell& cell = model_.row(area, key);
  if (cell.busy) return;
  const Value value = next_value_++;
  auto operation = make(logical::Operation::kUpdate, row_path(area, key),
                        R"({"data":{"v":")" + value_text(value) + "\"}}", some_token());
  operation->area = area;
  change(operation, cell, value);
  begin(std::move(operation));
}

void Simulation::delete_row() {
  const int area = static_cast<int>(below(kAreas)), key = static_cast<int>(below(kKeys));
  Cell& cell = model_.row(area, key);
  if (cell.busy) return;
  std::string path = row_path(area, key);
  path.replace(path.find("/data/"), 6, "/metadata/");
  auto operation = make(logical::Operation::kDelete, std::move(path), "", 0);
  change(operation, cell, kAbsent);
  begin(std::move(operation));
}

void Simulation::write_policy() {
  const int number = static_cast<int>(below(kPolicies));
  Cell& cell = model_.policy(number);
  if (cell.busy) return;
  const std::string path = "sys/policies/acl/" + policy_name(number);
  if (chance(150)) {
    auto operation = make(logical::Operation::kDelete, path, "", 0);
    change(operation, cell, kAbsent);
    return begin(std::move(operation));
  }
  const auto mask = static_cast<Value>(below(1 << kAreas));
  const auto body = base::Json(base::JsonObject{{"policy", policy_text(mask)}}).dump();
  auto operation = make(logical::Operation::kUpdate, path, body, 0);
  change(operation, cell, mask);
  begin(std::move(operation));
}

void Simulation::make_token() {
  const int parent = chance(400) ? 0 : some_token();
  static constexpr const char* kTtls[] = {"30s", "10m", "1h", "768h"};
  Token token;
  token.parent = parent;
  token.batch = chance(200);
  if (!token.batch && chance(150)) token.uses_max = static_cast<int64_t>(1 + below(4));
  base::JsonObject body{{"ttl", kTtls[below(4)]}, {"type", token.batch ? "batch" : "service"}};
  std::vector<std::string> names{"default"};
  for (int number = 0; number < kPolicies; number++) {
    const bool may = parent == 0 || model_.token(parent).policies.contains(number);
    if (!may || chance(400)) continue;
    token.policies.insert(number);
    names.push_back(policy_name(number));
  }
  body.set("policies", base::Json::strings(names));
  if (token.uses_max > 0) body.set("num_uses", token.uses_max);
  auto operation = make(logical::Operation::kUpdate, "auth/token/create",
                        base::Json(std::move(body)).dump(), parent);
  operation->area = Operation::kMaking;
  Operation* one = operation.get();
  operation->done = [this, one, token](const Response& response) mutable {
    token.text = response.auth->client_token;
    const int64_t now =
        std::chrono::floor<std::chrono::seconds>(server_->now()).time_since_epoch().count();
    token.expires_min_s = one->pending->begun_s + response.auth->lease_duration_s;
    token.expires_max_s = now + response.auth->lease_duration_s;
    token.linked.possible = {1};
    // Made while its maker was being ended: it lives only if its maker may still live.
    token.alive.possible = model_.token(one->token).alive.possible;
    token.alive.possible.insert(model_.token(one->token).alive.may_be(1) ? 1 : 0);
    // Or it was there before its maker was ended alone, and is an orphan now.
    if (model_.token(one->token).detached && !token.batch) {
      token.alive.possible.insert(1);
      token.linked.possible = {0, 1};
    }
    const int parent = token.parent;
    const int number = model_.add_token(std::move(token));
    trace("token " + std::to_string(number) + " of " + std::to_string(parent));
  };
  begin(std::move(operation));
}

void Simulation::revoke_token() {
  const int target = some_token();
  if (target == 0) return;
  Token& token = model_.token(target);
  if (token.alive.busy || token.batch) return;
  token.alive.busy = true;
  const bool keep_children = chance(300), itself = !keep_children && chance(300);
  const std::string path = keep_children ? "auth/token/revoke-orphan"
                           : itself      ? "auth/token/revoke-self"
                                         : "auth/token/revoke";
  const std::string body = itself ? "" : "{\"token\":\"" + token.text + "\"}";
  auto operation = make(logical::Operation::kUpdate, path, body, itself ? target : 0);
  if (keep_children)
    model_.may_be_detached(target);
  else
    model_.may_be_revoked(target);
  operation->done = [this, target, keep_children](const Response&) {
    model_.token(target).alive.busy = false;
    trace((keep_children ? "detached " : "revoked ") + std::to_string(target));
    if (keep_children)
      model_.is_detached(target);
    else
      model_.is_revoked(target);
  };
  // Refused, because it was dead already, or it ended as a token of its last use.
  operation->refused = [this, target] { model_.token(target).alive.busy = false; };
  operation->unknown = operation->refused;
  begin(std::move(operation));
}

void Simulation::renew_token() {
  const int target = some_token();
  if (target == 0 || model_.token(target).batch) return;
  auto operation =
      make(logical::Operation::kUpdate, "auth/token/renew-self", R"({"increment":"10m"})", target);
  // May live longer from now on: ten minutes from whenever it happens.
  Operation* one = operation.get();
  Token& renewed = model_.token(target);
  renewed.renewing++;
  // Or shorter: what is asked for counts, not what was left.
  constexpr int64_t kAskedSeconds = 600;
  renewed.expires_min_s = std::min(renewed.expires_min_s, one->pending->begun_s + kAskedSeconds);
  const auto extend = [this, one, target](int64_t seconds) {
    model_.token(target).renewing--;
    if (seconds == 0) return;
    Token& token = model_.token(target);
    const int64_t now =
        std::chrono::floor<std::chrono::seconds>(server_->now()).time_since_epoch().count();
    token.expires_max_s = std::max(token.expires_max_s, now + seconds);
    token.expires_min_s = std::min(token.expires_min_s, one->pending->begun_s + seconds);
  };
  operation->done = [extend](const Response& response) { extend(response.auth->lease_duration_s); };
  operation->unknown = [extend] { extend(kAskedSeconds); };
  operation->refused = [extend] { extend(0); };
  begin(std::move(operation));
}

void Simulation::look_up_token() {
  begin(make(logical::Operation::kRead, "auth/token/lookup-self", "", some_token()));
}

void Simulation::guess_token() { begin(make(logical::Operation::kRead, row_path(0, 0), "", -1)); }

void Simulation::seal() {
  Cell& sealed = model_.sealed();
  if (sealed.busy || sealed.may_be(1)) return;
  auto operation = make(logical::Operation::kUpdate, "sys/seal", "", 0);
  change(operation, sealed, 1);
  operation->done = [this, &sealed](const Response&) {
    sealed.busy = false;
    model_.settle(sealed, 1);
    if (!server_->seal_control().sealed()) violated("sealed, it said, but it is not");
    unseal_at_ = step_ + 1 + below(40);
  };
  operation->unknown = [this, &sealed] {
    sealed.busy = false;
    if (playing_dead_) return;
    model_.settle(sealed, server_->seal_control().sealed() ? 1 : 0);
    unseal_at_ = step_ + 1;
  };
  begin(std::move(operation));
}

}  // namespace rekey::sim
