#include "logical/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace rekey::logical {
namespace {

TEST(Glob, TakesAStarForAnything) {
  for (const auto& [pattern, text] :
       std::initializer_list<std::pair<const char*, const char*>>{{"", ""},
                                                                  {"*", ""},
                                                                  {"*", "a"},
                                                                  {"a*", "a"},
                                                                  {"a*", "abc"},
                                                                  {"*c", "abc"},
                                                                  {"a*c", "abc"},
                                                                  {"a*c", "ac"},
                                                                  {"*b*", "abc"},
                                                                  {"a**c", "abc"},
                                                                  {"*aab", "aaab"},
                                                                  {"a?c", "a?c"},
                                                                  {"*a*a*", "aa"}}) {
    EXPECT_TRUE(glob_matches(pattern, text)) << pattern << " " << text;
  }
  for (const auto& [pattern, text] :
       std::initializer_list<std::pair<const char*, const char*>>{{"", "a"},
                                                                  {"a", ""},
                                                                  {"a", "ab"},
                                                                  {"a*", "ba"},
                                                                  {"*c", "cb"},
                                                                  {"a*c", "ab"},
                                                                  {"a?c", "abc"},
                                                                  {"*a*a*", "a"},
                                                                  {"[ab]", "a"},
                                                                  {"A*", "abc"}}) {
    EXPECT_FALSE(glob_matches(pattern, text)) << pattern << " " << text;
  }
}

TEST(Glob, EndsSoon) {
  std::string pattern;
  for (int i = 0; i < 200; i++) pattern += "a*";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace rekey::logical
