// The table of routes: what of a request had no effect is said.
#include "logical/route.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rekey::logical {
namespace {

std::vector<std::string> warnings(std::string_view body, bool any_input = false) {
  RouteTable table;
  table.add({.pattern = "role/{name}",
             .fields = {{"ttl", FieldType::kDuration, "How long."}},
             .any_input = any_input});
  auto data = base::Json::parse(body);
  EXPECT_TRUE(data.has_value()) << body;
  std::vector<std::string> out;
  RouteTable::warn_of_unused(table.match("role/a"), *data, out);
  return out;
}

using Texts = std::vector<std::string>;

TEST(RouteTable, SaysNothingWhereAllIsKnown) {
  EXPECT_EQ(warnings("null"), Texts());
  EXPECT_EQ(warnings("{}"), Texts());
  EXPECT_EQ(warnings("[1]"), Texts());
  EXPECT_EQ(warnings(R"({"ttl":"1h"})"), Texts());
  EXPECT_EQ(warnings(R"({"name":null})"), Texts());
}

TEST(RouteTable, NamesWhatItDoesNotKnowInOrder) {
  EXPECT_EQ(warnings(R"({"tl":"1h","ttl":1,"a":null})"),
            Texts{"Endpoint ignored these unrecognized parameters: [a tl]"});
}

TEST(RouteTable, NamesWhatThePathHasGivenAlready) {
  EXPECT_EQ(warnings(R"({"name":"b","x":1})"),
            (Texts{"Endpoint ignored these unrecognized parameters: [x]",
                   "Endpoint replaced the value of these parameters with the values captured from "
                   "the endpoint's path: [name]"}));
}

TEST(RouteTable, SaysNothingWhereAnythingIsKept) {
  EXPECT_EQ(warnings(R"({"name":"b","x":1})", true), Texts());
}

}  // namespace
}  // namespace rekey::logical
