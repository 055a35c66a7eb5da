// Runs testdata/precedence.txt, and compares the compiled Acl with a slow reading of the documented
// rules on random policies and paths.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "base/testing/source_dir.h"
#include "policy/pattern.h"
#include "policy/policy.h"

namespace rekey::policy {
namespace {

using Policies = std::vector<std::shared_ptr<const Policy>>;

std::shared_ptr<const Policy> must_parse(const std::string& name, std::string_view text) {
  auto policy = parse_policy(name, text);
  if (!policy) {
    ADD_FAILURE() << policy.error().describe() << "\n" << text;
    return nullptr;
  }
  return std::make_shared<const Policy>(std::move(*policy));
}

std::string_view short_reason(Reason reason) {
  switch (reason) {
    case Reason::kNoRule:
      return "no-rule";
    case Reason::kDenied:
      return "denied";
    case Reason::kNotGranted:
      return "not-granted";
    case Reason::kWrapTtl:
      return "wrap";
    case Reason::kMissingParameter:
      return "missing";
    case Reason::kDeniedParameter:
      return "parameter-denied";
    case Reason::kParameter:
      return "parameter-not-allowed";
    default:
      return "";
  }
}

std::string show(const Decision& decision) {
  std::string out = decision.allowed ? "allow" : "deny ";
  if (!decision.allowed) out += short_reason(decision.reason);
  if (decision.pattern.empty()) return out;
  return out + ' ' + std::string(decision.policy) + ' ' + std::string(decision.pattern);
}

// One line of the table: "update kv/a wrap=60 {"n": 1}".
struct Question {
  std::string operation, path, wrap;
  base::Json parameters;

  static Question read(const std::string& text) {
    Question out;
    std::istringstream words(text);
    words >> out.operation >> out.path;
    std::string rest;
    std::getline(words >> std::ws, rest);
    if (rest.starts_with("wrap=")) {
      out.wrap = rest.substr(5, rest.find(' ') - 5);
      rest.erase(0, std::min(rest.find(' '), rest.size() - 1) + 1);
    }
    if (!rest.empty()) {
      auto parsed = base::Json::parse(rest);
      EXPECT_TRUE(parsed) << text;
      if (parsed) out.parameters = std::move(*parsed);
    }
    return out;
  }
};

std::string ask(const Acl& acl, const std::string& text) {
  const Question question = Question::read(text);
  if (question.operation == "caps") {
    std::string out;
    for (std::string_view name : acl.capabilities(question.path).names()) {
      out += (out.empty() ? "" : " ") + std::string(name);
    }
    return out;
  }
  const auto needed = parse_capability(question.operation);
  if (!needed) return "unknown operation " + question.operation;
  Query query{.path = question.path, .needed = *needed};
  query.parameters = question.parameters.as_object();
  if (!question.wrap.empty()) query.wrap_ttl = *base::parse_duration(question.wrap);
  const Decision decision = acl.decide(query);
  // The explanation is made another way and must come to the same winner.
  const Explanation explanation = acl.explain(query);
  EXPECT_EQ(explanation.matches.empty(), decision.pattern.empty()) << text;
  if (!explanation.matches.empty()) {
    EXPECT_EQ(explanation.matches.front().pattern, decision.pattern) << text;
    EXPECT_TRUE(explanation.matches.front().decides) << text;
  }
  return show(decision);
}

TEST(Precedence, TableOfCases) {
  std::ifstream file(base::testing::source_dir() + "/src/policy/testdata/precedence.txt");
  ASSERT_TRUE(file.good());
  Policies policies;
  std::shared_ptr<const Acl> acl;
  int number = 0, questions = 0;
  for (std::string line; std::getline(file, line);) {
    number++;
    if (line.starts_with("policy ")) {
      if (acl) policies.clear(), acl.reset();
      const size_t space = line.find(' ', 7);
      policies.push_back(must_parse(line.substr(7, space - 7), line.substr(space + 1)));
      continue;
    }
    const size_t arrow = line.find(" => ");
    if (line.starts_with('#') || arrow == line.npos) continue;
    if (!acl) acl = Acl::compile(policies, nullptr);
    EXPECT_EQ(ask(*acl, line.substr(0, arrow)), line.substr(arrow + 4))
        << "precedence.txt:" << number << ": " << line;
    questions++;
  }
  EXPECT_GE(questions, 150);
}

// --- the slow reading ---

std::vector<std::string> segments_of(const std::string& text) {
  std::vector<std::string> out(1);
  for (char c : text) {
    if (c == '/') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

bool slow_matches(const std::string& pattern, const std::string& path) {
  const bool prefix = pattern.ends_with('*');
  const auto wanted = segments_of(prefix ? pattern.substr(0, pattern.size() - 1) : pattern);
  const auto given = segments_of(path);
  if (prefix ? given.size() < wanted.size() : given.size() != wanted.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const bool last = i + 1 == wanted.size();
    if (prefix && last ? !given[i].starts_with(wanted[i])
                       : wanted[i] != "+" && wanted[i] != given[i]) {
      return false;
    }
  }
  return true;
}

// The documented rules, on the texts as they are written.
bool slow_weaker(const std::string& a, const std::string& b) {
  const auto wildcard = [](const std::string& p) {
    return std::min(p.find_first_of("+*"), p.size());
  };
  const auto plusses = [](const std::string& p) { return std::count(p.begin(), p.end(), '+'); };
  const bool a_exact = wildcard(a) == a.size(), b_exact = wildcard(b) == b.size();
  if (a_exact != b_exact) return b_exact;
  if (wildcard(a) != wildcard(b)) return wildcard(a) < wildcard(b);
  if (a.ends_with('*') != b.ends_with('*')) return a.ends_with('*');
  if (plusses(a) != plusses(b)) return plusses(a) > plusses(b);
  if (a.size() != b.size()) return a.size() < b.size();
  return a < b;
}

// A path or pattern of a small alphabet, so that many collide.
std::string random_path(std::mt19937& random, bool pattern) {
  static const char* const kSegments[] = {"a", "b", "ab", "abc", "", "aa", "c"};
  std::string out;
  const size_t count = 1 + random() % 4;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) out += '/';
    out += pattern && random() % 3 == 0 ? "+" : kSegments[random() % 7];
  }
  if (pattern && random() % 3 == 0 && !out.ends_with('+')) out += '*';
  return out;
}

std::string slow_winner(const std::vector<std::string>& patterns, const std::string& path) {
  std::string best;
  bool found = false;
  for (const std::string& pattern : patterns) {
    if (!slow_matches(pattern, path) || (found && !slow_weaker(best, pattern))) continue;
    best = pattern, found = true;
  }
  return best;
}

TEST(Precedence, CompiledAclAgreesWithTheSlowReading) {
  std::mt19937 random(20261124);
  size_t matched = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> patterns;
    const size_t count = 1 + random() % 12;
    while (patterns.size() < count) {
      std::string pattern = random_path(random, true);
      if (!pattern.empty()) patterns.push_back(std::move(pattern));
    }
    Policy policy{.name = "p"};
    for (const std::string& pattern : patterns) {
      policy.rules.push_back({.path = pattern, .capabilities = {Capability::kRead}});
    }
    const Policies policies{std::make_shared<const Policy>(policy)};
    const auto acl = Acl::compile(policies, nullptr);
    for (int question = 0; question < 20; ++question) {
      const std::string path = random_path(random, false);
      if (path.empty() || path.starts_with('/')) continue;
      const std::string wanted = slow_winner(patterns, path);
      const Decision decision = acl->decide({.path = path, .needed = Capability::kRead});
      std::string all;
      for (const std::string& pattern : patterns) all += pattern + ' ';
      ASSERT_EQ(decision.pattern, wanted) << path << " with " << all;
      matched += !wanted.empty();
      const auto explained = acl->explain({.path = path, .needed = Capability::kRead});
      ASSERT_EQ(explained.matches.empty(), wanted.empty());
      if (!wanted.empty()) {
        ASSERT_EQ(explained.matches.front().pattern, wanted);
      }
    }
  }
  EXPECT_GT(matched, 10'000u);
}

TEST(Precedence, IsATotalOrder) {
  std::mt19937 random(7);
  std::vector<Pattern> patterns;
  for (int i = 0; i < 60; ++i) patterns.push_back(Pattern::read(random_path(random, true)));
  for (const Pattern& a : patterns) {
    for (const Pattern& b : patterns) {
      const int ab = compare(a, b).order, ba = compare(b, a).order;
      EXPECT_EQ(ab < 0, ba > 0);
      EXPECT_EQ(ab == 0, a.written() == b.written());
      for (const Pattern& c : patterns) {
        if (ab < 0 && compare(b, c).order < 0) {
          EXPECT_LT(compare(a, c).order, 0);
        }
      }
    }
  }
}

}  // namespace
}  // namespace rekey::policy
