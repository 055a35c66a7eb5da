#include "storage/memory_store.h"

#include <functional>

#include "base/check.h"
#include "storage/listing.h"

namespace rekey::storage {

struct MemoryStore::Row {
  std::string key;
  std::string value;
  Revision revision;
  size_t priority;  // a hash of the key: makes the tree balanced whatever order rows come in
};

struct MemoryStore::Node {
  std::shared_ptr<const Row> row;
  std::shared_ptr<const Node> left, right;
};

// A treap: sorted by key, and no node has a greater rank than its parent.
struct MemoryStore::Tree {
  using Link = std::shared_ptr<const Node>;
  using RowPtr = std::shared_ptr<const Row>;

  static Link make(RowPtr row, Link left, Link right) {
    return std::make_shared<const Node>(Node{std::move(row), std::move(left), std::move(right)});
  }

  static bool ranks_above(const Row& a, const Row& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.key > b.key;
  }

  // Everything below `key` and everything above; `key` itself is not in `node`.
  static std::pair<Link, Link> split(const Link& node, std::string_view key) {
    if (!node) return {};
    if (node->row->key < key) {
      auto [low, high] = split(node->right, key);
      return {make(node->row, node->left, std::move(low)), std::move(high)};
    }
    auto [low, high] = split(node->left, key);
    return {std::move(low), make(node->row, std::move(high), node->right)};
  }

  static Link join(const Link& low, const Link& high) {
    if (!low) return high;
    if (!high) return low;
    if (ranks_above(*low->row, *high->row)) {
      return make(low->row, low->left, join(low->right, high));
    }
    return make(high->row, join(low, high->left), high->right);
  }

  static Link put(const Link& node, RowPtr row) {
    if (!node) return make(std::move(row), nullptr, nullptr);
    const int order = row->key.compare(node->row->key);
    if (order == 0) return make(std::move(row), node->left, node->right);
    if (ranks_above(*row, *node->row)) {
      auto [low, high] = split(node, row->key);
      return make(std::move(row), std::move(low), std::move(high));
    }
    if (order < 0) return make(node->row, put(node->left, std::move(row)), node->right);
    return make(node->row, node->left, put(node->right, std::move(row)));
  }

  // `key` is in `node`.
  static Link erase(const Link& node, std::string_view key) {
    const int order = key.compare(node->row->key);
    if (order == 0) return join(node->left, node->right);
    if (order < 0) return make(node->row, erase(node->left, key), node->right);
    return make(node->row, node->left, erase(node->right, key));
  }

  static const Row* find(const Node* node, std::string_view key) {
    while (node != nullptr) {
      const int order = key.compare(node->row->key);
      if (order == 0) return node->row.get();
      node = order < 0 ? node->left.get() : node->right.get();
    }
    return nullptr;
  }
};

struct MemoryStore::Snapshot {
  std::shared_ptr<const Node> root;
  Revision revision = 0;
  uint64_t keys = 0;
  uint64_t bytes = 0;
};

struct MemoryStore::Cursor {
  const Node* root;
  const Row* at = nullptr;

  bool seek(std::string_view key) { return descend(key, false); }
  bool next() { return descend(at->key, true); }
  std::string_view key() const { return at->key; }
  Result<void> status() const { return {}; }

  bool descend(std::string_view key, bool strictly) {
    const Row* best = nullptr;
    for (const Node* node = root; node != nullptr;) {
      const int order = key.compare(node->row->key);
      if (order < 0 || (order == 0 && !strictly)) {
        best = node->row.get();
        node = node->left.get();
      } else {
        node = node->right.get();
      }
    }
    at = best;
    return at != nullptr;
  }
};

class MemoryStore::MemoryReader final : public Reader {
 public:
  explicit MemoryReader(const MemoryStore& store) : store_(store), snapshot_(store.newest()) {}

  Result<void> refresh() override {
    snapshot_ = store_.newest();
    return {};
  }
  void release() override { snapshot_ = nullptr; }
  Revision revision() const override {
    REKEY_CHECK(snapshot_);
    return snapshot_->revision;
  }

  Result<std::optional<Item>> get(std::string_view key) override {
    REKEY_CHECK(snapshot_);
    if (key.empty()) return base::fail(ErrorKind::kInvalid, "a storage key is empty");
    const Row* row = Tree::find(snapshot_->root.get(), key);
    if (row == nullptr) return std::nullopt;
    return Item{row->value, row->revision};
  }

  Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                        size_t limit) override {
    REKEY_CHECK(snapshot_);
    Cursor cursor{snapshot_->root.get()};
    return list_names(cursor, prefix, after, limit);
  }

  Result<std::vector<std::string>> scan(std::string_view prefix, std::string_view after,
                                        size_t limit) override {
    REKEY_CHECK(snapshot_);
    Cursor cursor{snapshot_->root.get()};
    return scan_keys(cursor, prefix, after, limit);
  }

  Result<uint64_t> rows() override {
    REKEY_CHECK(snapshot_);
    return snapshot_->keys;
  }

 private:
  const MemoryStore& store_;
  SnapshotPtr snapshot_;
};

MemoryStore::MemoryStore(Limits limits)
    : limits_(limits), newest_(std::make_shared<const Snapshot>()) {}

MemoryStore::~MemoryStore() = default;

MemoryStore::SnapshotPtr MemoryStore::newest() const {
  const std::lock_guard lock(mutex_);
  return newest_;
}

Result<std::unique_ptr<Reader>> MemoryStore::open_reader() {
  return std::make_unique<MemoryReader>(*this);
}

void MemoryStore::commit(Batch batch, Done done) {
  std::unique_lock lock(mutex_);
  queue_.push_back({std::move(batch), std::move(done)});
  if (committing_) return;
  committing_ = true;
  while (!queue_.empty()) {
    Queued queued = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    auto outcome = apply(queued.batch);
    queued.done(std::move(outcome));
    lock.lock();
  }
  committing_ = false;
}

Result<std::vector<Put>> MemoryStore::ask_witness(const Batch& batch, Revision before) {
  if (witness_ == nullptr) return std::vector<Put>();
  return witness_->before_commit({.before = before, .after = before + 1, .batches = {&batch}});
}

void MemoryStore::set_witness(CommitWitness* witness) {
  const std::lock_guard lock(witness_mutex_);
  witness_ = witness;
}

bool MemoryStore::forget_row(Snapshot& next, std::string_view key) {
  const Row* row = Tree::find(next.root.get(), key);
  if (row == nullptr) return false;
  next.keys -= 1;
  next.bytes -= row->key.size() + row->value.size();
  return true;
}

void MemoryStore::put_row(Snapshot& next, const std::string& key, std::string value) {
  forget_row(next, key);
  next.keys += 1;
  next.bytes += key.size() + value.size();
  const size_t priority = std::hash<std::string_view>()(key);
  next.root = Tree::put(
      next.root, std::make_shared<const Row>(Row{key, std::move(value), next.revision, priority}));
}

void MemoryStore::tamper(const std::string& key, std::optional<std::string> value,
                         Revision revision) {
  const std::lock_guard witness_lock(witness_mutex_);
  Snapshot next = *newest();
  const Revision of_store = next.revision;
  const Row* row = Tree::find(next.root.get(), key);
  if (revision == 0) revision = row == nullptr ? of_store : row->revision;
  next.revision = revision;
  if (value)
    put_row(next, key, std::move(*value));
  else if (forget_row(next, key))
    next.root = Tree::erase(next.root, key);
  next.revision = of_store;
  const std::lock_guard lock(mutex_);
  newest_ = std::make_shared<const Snapshot>(std::move(next));
}

// Runs on one thread at a time; only that thread replaces newest_.
Result<Revision> MemoryStore::apply(Batch& batch) {
  auto refuse = [this](uint64_t Health::* counter, std::unexpected<Error> error) {
    const std::lock_guard lock(mutex_);
    health_.*counter += 1;
    return error;
  };
  if (auto checked = check_batch(batch, limits_); !checked) {
    return refuse(&Health::failures, base::forward(checked));
  }
  const std::lock_guard witness_lock(witness_mutex_);
  Snapshot next = *newest();
  for (const Condition& condition : batch.conditions) {
    const Row* row = Tree::find(next.root.get(), condition.key);
    if ((row == nullptr ? 0 : row->revision) != condition.revision) {
      return refuse(&Health::conflicts,
                    base::fail(ErrorKind::kConflict, "the stored data has changed meanwhile"));
    }
  }
  if (batch.puts.empty() && batch.deletes.empty()) return next.revision;

  auto beside = ask_witness(batch, next.revision);
  if (!beside) return refuse(&Health::failures, base::forward(beside));
  next.revision += 1;
  for (const std::string& key : batch.deletes) {
    if (forget_row(next, key)) next.root = Tree::erase(next.root, key);
  }
  // Keys are copied: the watches are told of them below.
  for (Put& put : batch.puts) put_row(next, put.key, std::move(put.value));
  for (Put& put : *beside) put_row(next, put.key, std::move(put.value));
  const uint64_t rows = next.keys;
  const Revision revision = next.revision;
  auto swapped = std::make_shared<const Snapshot>(std::move(next));
  {
    const std::lock_guard lock(mutex_);
    newest_.swap(swapped);  // the old one is freed outside the lock
    health_.commits += 1;
    health_.batches_per_sync.add(1);
  }
  if (witness_ != nullptr) {
    witness_->after_commit(true);
    if (const auto expected = witness_->rows_expected()) witness_->rows_counted(*expected, rows);
  }
  hub_.notify(revision, batch);
  return revision;
}

std::unique_ptr<Watch> MemoryStore::watch(std::string prefix, OnChange on_change) {
  return hub_.add(std::move(prefix), std::move(on_change));
}

Health MemoryStore::health() const {
  const std::lock_guard lock(mutex_);
  Health health = health_;
  health.keys = newest_->keys;
  health.bytes_used = newest_->bytes;
  health.queued = queue_.size();
  return health;
}

}  // namespace rekey::storage
