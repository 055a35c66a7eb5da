// rooms: policy
// What one decision costs, with few and many rules; and compiling them.
#include <benchmark/benchmark.h>

#include <random>

#include "policy/policy.h"

namespace {

using rekey::policy::Acl;
using rekey::policy::Capability;
using rekey::policy::parse_policy;
using rekey::policy::Policy;
using Policies = std::vector<std::shared_ptr<const Policy>>;

// A third each exact paths, prefixes and paths with a `+`, as policies of teams look.
Policies make_policies(int rules) {
  std::string text;
  for (int i = 0; i < rules; ++i) {
    const std::string team = "secret/data/team" + std::to_string(i);
    const std::string path = i % 3 == 0   ? team + "/service/database"
                             : i % 3 == 1 ? team + "/*"
                                          : "secret/+/team" + std::to_string(i) + "/+/config";
    text += "path \"" + path + "\" { capabilities = [\"read\", \"list\"] }\n";
  }
  return {std::make_shared<const Policy>(*parse_policy("p", text))};
}

void decide(benchmark::State& state, const std::string& end) {
  const int rules = static_cast<int>(state.range(0));
  const auto acl = Acl::compile(make_policies(rules), nullptr);
  std::vector<std::string> paths;
  for (int i = 0; i < 512; ++i)
    paths.push_back("secret/data/team" + std::to_string(i % rules) + end);
  size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        acl->decide({.path = paths[at++ % paths.size()], .needed = Capability::kRead}));
  }
}

void BM_DecideExactOrPrefix(benchmark::State& state) { decide(state, "/service/database"); }
void BM_DecideDeep(benchmark::State& state) { decide(state, "/app/config"); }
void BM_DecideNothing(benchmark::State& state) { decide(state, "x/y"); }

// The worst shape: every segment may be `+` or a letter, so that no branch can be left out early.
void BM_DecideAllPlusses(benchmark::State& state) {
  std::string text;
  for (unsigned i = 1; i < 512; ++i) {
    std::string path = "a";
    for (unsigned bit = 0; bit < 9; ++bit) path += (i >> bit & 1) ? "/+" : "/a";
    text += "path \"" + path + "/z\" { capabilities = [\"read\"] }\n";
  }
  const Policies policies = {std::make_shared<const Policy>(*parse_policy("p", text))};
  const auto acl = Acl::compile(policies, nullptr);
  const std::string last = state.range(0) ? "z" : "y";  // y: nothing matches, all is walked
  const std::string path = "a/a/a/a/a/a/a/a/a/a/" + last;
  for (auto _ : state) {
    benchmark::DoNotOptimize(acl->decide({.path = path, .needed = Capability::kRead}));
  }
}

void BM_Compile(benchmark::State& state) {
  const Policies policies = make_policies(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(Acl::compile(policies, nullptr));
}

void BM_Parse(benchmark::State& state) {
  const Policies policies = make_policies(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(parse_policy("p", policies[0]->text));
}

BENCHMARK(BM_DecideExactOrPrefix)->Arg(1)->Arg(20)->Arg(500)->Arg(10000);
BENCHMARK(BM_DecideDeep)->Arg(1)->Arg(20)->Arg(500)->Arg(10000);
BENCHMARK(BM_DecideNothing)->Arg(1)->Arg(20)->Arg(500)->Arg(10000);
BENCHMARK(BM_DecideAllPlusses)->Arg(1)->Arg(0);
BENCHMARK(BM_Compile)->Arg(20)->Arg(500)->Arg(10000);
BENCHMARK(BM_Parse)->Arg(20)->Arg(500);

}  // namespace
