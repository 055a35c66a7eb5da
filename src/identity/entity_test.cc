#include "identity/entity_store.h"

#include <gtest/gtest.h>

#include "barrier/keyring.h"
#include "identity/standing.h"
#include "identity/token_ttl.h"
#include "storage/memory_store.h"

namespace rekey::identity {
namespace {

class EntityTest : public ::testing::Test {
 protected:
  EntityTest() {
    keyring_->extend_reserve(barrier::kEncryptionReserve);
    reader_ = *store_.open_reader();
    begin();
  }

  void begin() { txn_.emplace(*reader_, *keyring_, random_); }
  EntityStore entities() { return EntityStore(*txn_, clock_, random_); }
  void commit() {
    ASSERT_TRUE(store_.commit_and_wait(*txn_->take_batch()));
    ASSERT_TRUE(reader_->refresh());
    begin();
  }

  base::SeededRandom random_{1};
  base::FakeClock clock_;
  std::shared_ptr<const barrier::Keyring> keyring_ =
      barrier::Keyring::generate(random_, clock_.wall());
  storage::MemoryStore store_;
  std::unique_ptr<storage::Reader> reader_;
  std::optional<barrier::Txn> txn_;
};

TEST_F(EntityTest, ALoginMakesAnEntityOnceAndThenFindsIt) {
  auto first = entities().find_or_make("auth_a", "alice", {{"team", "red"}});
  ASSERT_TRUE(first);
  commit();
  auto again = entities().find_or_make("auth_a", "alice", {{"team", "red"}});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->entity.id, first->entity.id);
  EXPECT_EQ(again->alias_id, first->alias_id);
  EXPECT_FALSE(txn_->has_writes());
  auto elsewhere = entities().find_or_make("auth_b", "alice", {});
  ASSERT_TRUE(elsewhere);
  EXPECT_NE(elsewhere->entity.id, first->entity.id);
}

TEST_F(EntityTest, ChangedMetadataIsKept) {
  ASSERT_TRUE(entities().find_or_make("auth_a", "alice", {{"team", "red"}}));
  commit();
  ASSERT_TRUE(entities().find_or_make("auth_a", "alice", {{"team", "blue"}}));
  EXPECT_TRUE(txn_->has_writes());
  commit();
  auto found = entities().find_or_make("auth_a", "alice", {{"team", "blue"}});
  EXPECT_EQ(found->entity.aliases[0].metadata[0].second, "blue");
}

TEST_F(EntityTest, IndexesFollowARename) {
  Entity entity = entities().new_entity("Bob/of %2f");
  entities().save(nullptr, entity);
  commit();
  EXPECT_TRUE(*entities().entity_by_name("bob/OF %2f"));
  EXPECT_FALSE(*entities().entity_by_name("bob"));
  const Entity before = entity;
  entity.name = "robert";
  entities().save(&before, entity);
  commit();
  EXPECT_FALSE(*entities().entity_by_name("bob/of %2f"));
  EXPECT_EQ((*entities().entity_by_name("robert"))->id, entity.id);
  entities().remove(entity);
  commit();
  EXPECT_FALSE(*entities().entity_by_name("robert"));
  EXPECT_FALSE(*entities().entity(entity.id));
}

TEST_F(EntityTest, GroupsInGroupsAddTheirPoliciesAndACircleEnds) {
  Group inner = entities().new_group("inner"), outer = entities().new_group("outer");
  inner.policies = {"in"};
  outer.policies = {"out"};
  inner.parents = {outer.id};
  outer.parents = {inner.id};
  entities().save(nullptr, inner);
  entities().save(nullptr, outer);
  Entity entity = entities().new_entity("e");
  entity.policies = {"own"};
  entity.groups = {inner.id};
  entities().save(nullptr, entity);
  commit();
  std::vector<std::string> rows;
  auto standing = find_standing(*txn_, entity.id, &rows);
  ASSERT_TRUE(standing);
  EXPECT_EQ((*standing)->policies, (std::vector<std::string>{"in", "out", "own"}));
  EXPECT_EQ(rows.size(), 3u);
  EXPECT_EQ(*entities().members(inner.id), std::vector<std::string>{entity.id});
}

TEST_F(EntityTest, ExternalGroupsFollowTheLogin) {
  Group team = entities().new_group("team"), kept = entities().new_group("kept");
  team.external = true;
  team.aliases.push_back(entities().new_alias("auth_a", "devs"));
  entities().save(nullptr, team);
  entities().save(nullptr, kept);
  auto found = entities().find_or_make("auth_a", "alice", {});
  Entity entity = found->entity;
  const Entity before = entity;
  entity.groups = {kept.id};
  entities().save(&before, entity);
  ASSERT_TRUE(entities().set_external_groups(entity, "auth_a", {"devs", "unknown"}));
  EXPECT_EQ(entity.groups.size(), 2u);
  commit();
  // Another mount's groups have the same names and are others.
  ASSERT_TRUE(entities().set_external_groups(entity, "auth_b", {}));
  EXPECT_EQ(entity.groups.size(), 2u);
  ASSERT_TRUE(entities().set_external_groups(entity, "auth_a", {}));
  EXPECT_EQ(entity.groups, std::vector<std::string>{kept.id});
  commit();
  EXPECT_TRUE(entities().members(team.id)->empty());
}

TEST_F(EntityTest, AMergedEntityIsFoundUnderItsOldId) {
  Entity entity = entities().new_entity("e");
  entity.merged = {"11111111-old"};
  entities().save(nullptr, entity);
  commit();
  EXPECT_EQ((*entities().entity_or_merged("11111111-old"))->id, entity.id);
  EXPECT_EQ((*find_standing(*txn_, "11111111-old", nullptr))->entity.id, entity.id);
  EXPECT_EQ(*find_standing(*txn_, "nobody", nullptr), nullptr);
}

TEST(TokenTtl, FollowsRoleThenMount) {
  std::vector<std::string> warnings;
  EXPECT_EQ(*choose_token_ttl({.default_ttl_s = 100, .longest_s = 1000}, warnings), 100);
  EXPECT_EQ(*choose_token_ttl({.ttl_s = 50, .default_ttl_s = 100, .longest_s = 1000}, warnings),
            50);
  EXPECT_TRUE(warnings.empty());
  EXPECT_EQ(*choose_token_ttl(
                {.ttl_s = 50, .max_ttl_s = 20, .default_ttl_s = 100, .longest_s = 1000}, warnings),
            20);
  EXPECT_EQ(warnings.size(), 1u);
}

TEST(TokenTtl, ARenewalEndsWhereTheTokenEnds) {
  std::vector<std::string> warnings;
  const TtlQuestion base{.default_ttl_s = 100, .longest_s = 1000};
  TtlQuestion question = base;
  question.age_s = 950;
  EXPECT_EQ(*choose_token_ttl(question, warnings), 50);
  question.age_s = 1000;
  EXPECT_FALSE(choose_token_ttl(question, warnings));
  // A period goes on for ever, but for an explicit end.
  question.period_s = 30;
  EXPECT_EQ(*choose_token_ttl(question, warnings), 30);
  question.explicit_max_ttl_s = 1010;
  EXPECT_EQ(*choose_token_ttl(question, warnings), 10);
}

}  // namespace
}  // namespace rekey::identity
