// Leases through the whole chain, with an engine of the test's own in place of a database: what was
// handed out exists "outside" in a set of names.
#include <gtest/gtest.h>

#include <set>

#include "app/testing/harness.h"
#include "lease/lease_store.h"
#include "logical/answer.h"
#include "pipeline/removal.h"
#include "storage/memory_store.h"

namespace rekey::app::testing {
namespace {

using base::ErrorKind;
using base::Result;
using logical::Context;
using logical::Operation;
using logical::Response;

// An outside system: names that were made in it, and what goes wrong with it.
struct Outside {
  std::set<std::string> names;
  bool is_down = false;        // nothing works
  bool fails_after = false;    // making one works, but the engine says it failed
  std::function<void()> then;  // after one was made, before the request goes on
  int calls = 0;
};

class FakeEngine final : public logical::Backend {
 public:
  explicit FakeEngine(std::map<std::string, Outside>& outside) : outside_(outside) {
    routes_.add({.pattern = "creds/{name}",
                 .handlers = {{Operation::kRead, [this](Context& c) { return make(c); }}},
                 .synopsis = "Makes one.",
                 .outside = true});
  }
  std::string_view type() const override { return "fake"; }
  const logical::RouteTable& routes() const override { return routes_; }
  bool grants_leases() const override { return true; }
  Result<void> revoke_lease(Context&, const logical::HeldLease& lease) const override {
    Outside& target = outside_[std::string(lease.target)];
    target.calls++;
    if (target.is_down) return base::fail(ErrorKind::kUnavailable, "the target is down");
    target.names.erase(lease.data.string_or("name", ""));
    return {};
  }

 private:
  Result<Response> make(Context& context) const {
    const std::string role(context.fields.text("name"));
    Outside& target = outside_[role];
    logical::LeaseGrant grant;
    grant.ttl = std::chrono::minutes(10);
    grant.max_ttl = std::chrono::minutes(30);
    grant.role = role;
    grant.target = role;
    const std::string name = "n" + std::to_string(next_++);
    grant.data = {{"name", name}};
    auto intended = context.intend(grant);
    if (!intended) return forward(intended);
    target.names.insert(name);
    if (target.then) std::exchange(target.then, nullptr)();
    if (target.fails_after) return base::fail(ErrorKind::kUpstream, "it said no");
    Response response = logical::with_data({{"name", name}});
    response.lease = std::move(grant);
    return response;
  }

  std::map<std::string, Outside>& outside_;
  mutable int next_ = 0;
  logical::RouteTable routes_;
};

class LeasingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    harness_.catalog().add_engine("fake", [engine = std::make_shared<const FakeEngine>(outside_)](
                                              const logical::Mount&) { return engine; });
    harness_.set_up();
    ASSERT_TRUE(harness_.write("sys/mounts/fake", R"({"type":"fake"})").has_value());
  }
  Response make(const std::string& role, const std::string& token = {}) {
    auto answer = harness_.read("fake/creds/" + role, token);
    EXPECT_TRUE(answer.has_value()) << answer.error().describe();
    return answer ? std::move(*answer) : Response{};
  }
  bool renews(const std::string& id, Response* out = nullptr) {
    auto answer = harness_.write("sys/leases/renew", R"({"lease_id":")" + id + "\"}");
    if (answer && out != nullptr) *out = std::move(*answer);
    return answer.has_value();
  }
  void later(base::Duration by) { harness_.clock().advance(by); }
  void work() { harness_.removal().run_due(); }
  std::set<std::string>& names(const std::string& role) { return outside_[role].names; }
  std::vector<std::string> rows(const std::string& prefix) {
    auto reader = store_.open_reader();
    return *(*reader)->scan(prefix, "", 100);
  }

  storage::MemoryStore store_;
  std::map<std::string, Outside> outside_;
  Harness harness_{store_};
};

TEST_F(LeasingTest, LivesUntilItsTime) {
  Response made = make("a");
  EXPECT_TRUE(made.lease_id.starts_with("fake/creds/a/"));
  EXPECT_EQ(made.lease_duration_s, 600);
  later(std::chrono::minutes(9));
  work();
  EXPECT_EQ(names("a").size(), 1u);
  Response renewed;
  ASSERT_TRUE(renews(made.lease_id, &renewed));
  EXPECT_EQ(renewed.lease_duration_s, 600);
  later(std::chrono::minutes(9));
  work();
  EXPECT_EQ(names("a").size(), 1u);
  ASSERT_TRUE(renews(made.lease_id, &renewed));
  later(std::chrono::minutes(9));
  ASSERT_TRUE(renews(made.lease_id, &renewed));
  EXPECT_EQ(renewed.lease_duration_s, 180) << "30 minutes from the start, whatever is renewed";
  EXPECT_EQ(renewed.warnings.size(), 1u);
  later(std::chrono::minutes(4));
  EXPECT_FALSE(renews(made.lease_id)) << "over, though nobody has cleaned up yet";
  work();
  EXPECT_TRUE(names("a").empty());
  EXPECT_TRUE(rows("lease/").empty());
}

TEST_F(LeasingTest, EndsWithItsToken) {
  const std::string parent = harness_.make_token({"root"}, R"("ttl":"1h")");
  const std::string child = harness_.make_token({"root"}, R"("ttl":"1h")", parent);
  Response of_parent = make("a", parent), of_child = make("b", child);
  ASSERT_TRUE(harness_.write("auth/token/revoke", R"({"token":")" + parent + "\"}").has_value());
  EXPECT_FALSE(renews(of_parent.lease_id));
  EXPECT_FALSE(renews(of_child.lease_id));
  // The rows of void tokens are swept by Upkeep, which this test stands in for.
  harness_.sweep_tokens();
  work();
  EXPECT_TRUE(names("a").empty());
  EXPECT_TRUE(names("b").empty());
}

TEST_F(LeasingTest, EndsWithItsTokensTime) {
  const std::string token = harness_.make_token({"root"}, R"("ttl":"5m")");
  Response made = make("a", token);
  later(std::chrono::minutes(6));
  EXPECT_FALSE(renews(made.lease_id));
  harness_.sweep_tokens();
  work();
  EXPECT_TRUE(names("a").empty());
}

TEST_F(LeasingTest, ARequestThatFailsAfterItsEffectLeavesNothing) {
  outside_["a"].fails_after = true;
  EXPECT_FALSE(harness_.read("fake/creds/a").has_value());
  EXPECT_EQ(names("a").size(), 1u);
  work();
  EXPECT_TRUE(names("a").empty());
  EXPECT_TRUE(rows("lease/").empty());
}

TEST_F(LeasingTest, ATokenThatEndsMeanwhileGetsNothing) {
  const std::string token = harness_.make_token({"root"}, R"("ttl":"1h")");
  outside_["a"].then = [&] {
    ASSERT_TRUE(harness_.write("auth/token/revoke", R"({"token":")" + token + "\"}").has_value());
  };
  auto answer = harness_.read("fake/creds/a", token);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind(), ErrorKind::kUnauthenticated);
  work();
  EXPECT_TRUE(names("a").empty());
}

TEST_F(LeasingTest, ACutoffThatComesMeanwhileIsNotOvertaken) {
  outside_["a"].then = [&] {
    ASSERT_TRUE(harness_.write("sys/leases/revoke-prefix/fake/creds/a", "{}").has_value());
  };
  Response made = make("a");  // made again after the cut-off
  EXPECT_EQ(names("a").size(), 2u);
  work();
  EXPECT_EQ(names("a").size(), 1u);
  EXPECT_TRUE(renews(made.lease_id));
}

TEST_F(LeasingTest, APrefixIsVoidAtOnceAndRemovedLater) {
  Response one = make("a"), two = make("a"), other = make("b");
  ASSERT_TRUE(harness_.write("sys/leases/revoke-prefix/fake/creds/a", "{}").has_value());
  EXPECT_FALSE(renews(one.lease_id));
  EXPECT_FALSE(renews(two.lease_id));
  EXPECT_TRUE(renews(other.lease_id));
  EXPECT_EQ(names("a").size(), 2u);
  work();
  EXPECT_TRUE(names("a").empty());
  EXPECT_EQ(names("b").size(), 1u);
}

TEST_F(LeasingTest, ATargetThatIsDownStopsNoOther) {
  for (int i = 0; i < 20; i++) make("down");
  make("up");
  outside_["down"].is_down = true;
  ASSERT_TRUE(harness_.write("sys/leases/revoke-prefix/fake", "{}").has_value());
  work();
  EXPECT_TRUE(names("up").empty());
  EXPECT_EQ(names("down").size(), 20u);
  EXPECT_LE(outside_["down"].calls, 4) << "asked carefully, not once for each lease";
  outside_["down"].is_down = false;
  later(std::chrono::minutes(20));
  work();
  later(std::chrono::minutes(20));
  work();
  EXPECT_TRUE(names("down").empty());
}

TEST_F(LeasingTest, WhatCannotBeRemovedIsShownAndCanBeTriedOrForgotten) {
  Response made = make("a");
  outside_["a"].is_down = true;
  ASSERT_TRUE(
      harness_.write("sys/leases/revoke", R"({"lease_id":")" + made.lease_id + "\"}").has_value());
  for (int i = 0; i < 8; i++) {
    work();
    later(std::chrono::minutes(16));
  }
  auto counted = harness_.ask(
      {.path = "sys/leases/count", .body = R"({"type":"irrevocable"})", .token = harness_.root()});
  ASSERT_TRUE(counted.has_value());
  EXPECT_NE(counted->data.find("\"lease_count\":1"), std::string::npos) << counted->data;
  EXPECT_GE(harness_.removal().counters().stuck.load(), 1u);
  ASSERT_TRUE(harness_.write("sys/leases/revoke-force/fake/creds/a", "{}").has_value());
  work();
  EXPECT_TRUE(rows("lease/").empty());
  EXPECT_EQ(names("a").size(), 1u);
}

TEST_F(LeasingTest, ADisabledMountsLeasesAreRemovedBeforeItsRows) {
  make("a");
  outside_["a"].is_down = true;
  ASSERT_TRUE(harness_
                  .ask({.operation = Operation::kDelete,
                        .path = "sys/mounts/fake",
                        .token = harness_.root()})
                  .has_value());
  work();
  EXPECT_EQ(rows("core/disabled/").size(), 1u);
  outside_["a"].is_down = false;
  later(std::chrono::minutes(20));
  work();
  work();
  EXPECT_TRUE(names("a").empty());
  EXPECT_TRUE(rows("core/disabled/").empty());
  EXPECT_TRUE(rows("lease/").empty());
}

TEST_F(LeasingTest, NothingIsRemovedWhilePaused) {
  make("a");
  {
    const auto state = harness_.keeper().state().get();
    auto reader = store_.open_reader();
    base::SeededRandom random(9);
    barrier::Txn txn(**reader, *state->keyring, random);
    lease::pause(txn, "a test", harness_.clock().wall());
    ASSERT_TRUE(store_.commit_and_wait(*txn.take_batch()).has_value());
  }
  later(std::chrono::hours(1));
  work();
  EXPECT_EQ(names("a").size(), 1u);
  ASSERT_TRUE(harness_.write("sys/leases/resume", "{}").has_value());
  work();
  EXPECT_TRUE(names("a").empty());
}

TEST_F(LeasingTest, AnOutsideEffectIsRecordedBeforeItHappens) {
  uint64_t before = 0;
  outside_["a"].then = [&] { before = harness_.record().durable_size(); };
  const uint64_t start = harness_.record().durable_size();
  make("a");
  EXPECT_GT(before, start);
}

TEST_F(LeasingTest, WrappedAnswersKeepTheirLease) {
  auto wrapped = harness_.ask(
      {.path = "fake/creds/a", .token = harness_.root(), .wrap_ttl = std::chrono::minutes(1)});
  ASSERT_TRUE(wrapped.has_value() && wrapped->wrap);
  auto inside =
      harness_.write("sys/wrapping/unwrap", R"({"token":")" + wrapped->wrap->token + "\"}");
  ASSERT_TRUE(inside.has_value());
  EXPECT_TRUE(renews(inside->lease_id));
}

}  // namespace
}  // namespace rekey::app::testing
