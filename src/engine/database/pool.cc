#include "engine/database/pool.h"

#include "crypto/digest.h"

namespace rekey::engine::database {
namespace {

using base::ErrorKind;
using base::Result;

std::string fingerprint_of(const Config& config) {
  std::string text;
  for (const std::string* part : {&config.plugin, &config.url, &config.username, &config.password,
                                  &config.pending_password}) {
    text += std::to_string(part->size()) + ":" + *part;
  }
  text += base::Json(config.details).dump();
  return std::string(crypto::as_bytes(crypto::sha256(text)));
}

bool is_broken(const base::Error& error) {
  return error.kind() == ErrorKind::kUnavailable || error.kind() == ErrorKind::kTimeout;
}

// As configured; while the root's password is being changed, either may be the right one.
Result<std::unique_ptr<Session>> open(const Config& config, const Plugin& plugin) {
  auto session = plugin.connect(config.target());
  if (session || config.pending_password.empty()) return session;
  Target other = config.target();
  other.password = config.pending_password;
  auto second = plugin.connect(other);
  return second ? std::move(second) : std::move(session);
}

}  // namespace

// A place in the pool, with a connection in it where one was idle.
Result<Pools::Idle> Pools::take(const std::string& key, const Config& config,
                                const base::Clock& clock, uint64_t& generation) {
  const std::string fingerprint = fingerprint_of(config);
  std::vector<Idle> closed;  // outside the lock
  std::unique_lock lock(mutex_);
  Pool* pool = &pools_[key];
  if (pool->fingerprint != fingerprint) {
    pool->fingerprint = fingerprint;
    pool->generation = ++generations_;
    pool->open = 0;
    closed.swap(pool->idle);
  }
  const uint64_t mine = pool->generation;
  if (pool->open >= config.open_max && pool->idle.empty()) {
    if (pool->waiting >= kPoolWaitersMax) {
      return base::fail(ErrorKind::kUnavailable, "too many requests wait for this database");
    }
    pool->waiting++;
    const bool free = freed_.wait_for(lock, kPoolWait, [&] {
      pool = &pools_[key];
      return pool->generation != mine || !pool->idle.empty() || pool->open < config.open_max;
    });
    pool->waiting--;
    if (!free) {
      return base::fail(ErrorKind::kUnavailable,
                        "all connections to this database are in use: try again in a moment");
    }
  }
  generation = pool->generation;
  const base::Duration now = clock.monotonic();
  while (!pool->idle.empty()) {
    Idle idle = std::move(pool->idle.back());
    pool->idle.pop_back();
    const bool old =
        config.lifetime_s > 0 && now - idle.opened > std::chrono::seconds(config.lifetime_s);
    if (!old) return idle;
    pool->open--;
    closed.push_back(std::move(idle));
  }
  pool->open++;
  return Idle{};
}

void Pools::give_back(const std::string& key, Idle idle, uint64_t generation,
                      const Config& config) {
  {
    std::lock_guard lock(mutex_);
    const auto pool = pools_.find(key);
    const int64_t keep = config.idle_max > 0 ? config.idle_max : config.open_max;
    if (pool != pools_.end() && pool->second.generation == generation) {
      if (static_cast<int64_t>(pool->second.idle.size()) < keep) {
        pool->second.idle.push_back(std::move(idle));
      } else {
        pool->second.open--;
      }
    }
  }
  freed_.notify_all();
}

void Pools::forget_one(const std::string& key, uint64_t generation) {
  {
    std::lock_guard lock(mutex_);
    const auto pool = pools_.find(key);
    if (pool != pools_.end() && pool->second.generation == generation) pool->second.open--;
  }
  freed_.notify_all();
}

Result<void> Pools::with_session(const std::string& key, const Config& config, const Plugin& plugin,
                                 const base::Clock& clock, const Work& work) {
  uint64_t generation = 0;
  auto taken = take(key, config, clock, generation);
  if (!taken) return forward(taken);
  Idle idle = std::move(*taken);
  if (idle.session != nullptr && clock.monotonic() - idle.used > kIdleTrust &&
      !idle.session->check()) {
    idle.session.reset();
  }
  if (idle.session == nullptr) {
    auto opened = open(config, plugin);
    if (!opened) {
      forget_one(key, generation);
      return forward(opened);
    }
    idle.session = std::move(*opened);
    idle.opened = clock.monotonic();
  }
  auto done = work(*idle.session);
  idle.used = clock.monotonic();
  if (!done && is_broken(done.error())) {
    idle.session.reset();
    forget_one(key, generation);
  } else {
    give_back(key, std::move(idle), generation, config);
  }
  return done;
}

void Pools::drop(const std::string& key) {
  std::map<std::string, Pool>::node_type dropped;  // closed outside the lock
  {
    std::lock_guard lock(mutex_);
    const auto pool = pools_.find(key);
    if (pool == pools_.end() || pool->second.waiting > 0) {
      if (pool != pools_.end()) pool->second.fingerprint.clear();
      return;
    }
    dropped = pools_.extract(pool);
  }
  freed_.notify_all();
}

void Pools::drop_all() {
  std::vector<Idle> closed;
  {
    std::lock_guard lock(mutex_);
    for (auto& [key, pool] : pools_) {
      pool.fingerprint.clear();
      pool.generation = ++generations_;
      pool.open = 0;
      for (Idle& idle : pool.idle) closed.push_back(std::move(idle));
      pool.idle.clear();
    }
  }
  freed_.notify_all();
}

}  // namespace rekey::engine::database
