#include "hcl/hcl.h"

#include <gtest/gtest.h>

namespace rekey::hcl {
namespace {

// The tree as one line, so that a test shows the whole of it: a "b" {c=1 d=["x",true]}
std::string show(const Object& object);
std::string show(const Value& value) {
  if (const bool* flag = value.as_bool()) return *flag ? "true" : "false";
  if (const Number* number = value.as_number()) return number->text;
  if (const std::string* text = value.as_string()) return '"' + *text + '"';
  if (const Object* object = value.as_object()) return '{' + show(*object) + '}';
  std::string out = "[";
  for (const Value& element : *value.as_list()) {
    if (out.size() > 1) out += ',';
    out += show(element);
  }
  return out + ']';
}
std::string show(const Object& object) {
  std::string out;
  for (const Item& item : object.items) {
    if (!out.empty()) out += ' ';
    for (size_t i = 0; i < item.keys.size(); ++i) out += (i ? ":" : "") + item.keys[i];
    out += '=' + show(item.value);
  }
  return out;
}

std::string read(std::string_view text) {
  const auto parsed = parse(text);
  return parsed ? show(*parsed) : "! " + parsed.error().message();
}

TEST(Hcl, ReadsEveryKindOfValue) {
  EXPECT_EQ(read("a = 1\nb = -2.5e3\nc = 0x1F\nd = true\ne = false\nf = \"x\"\ng = []\nh = {}"),
            "a=1 b=-2.5e3 c=0x1F d=true e=false f=\"x\" g=[] h={}");
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(read(" \t\r\n# only a comment"), "");
}

TEST(Hcl, TakesKeysAndLabelsInTheirForms) {
  EXPECT_EQ(read("path \"secret/*\" { policy = \"read\" }"), "path:secret/*={policy=\"read\"}");
  EXPECT_EQ(read("\"path\" \"a\" { \"policy\" = \"read\" }"), "path:a={policy=\"read\"}");
  EXPECT_EQ(read("listener tcp { a.b-c_d = 1 }"), "listener:tcp={a.b-c_d=1}");
  EXPECT_EQ(read("telemetry = { a = 1 }"), "telemetry={a=1}");
  EXPECT_EQ(read("a \"b\" \"c\" {}"), "a:b:c={}");
  EXPECT_EQ(read("clé = 1"), "clé=1");
  EXPECT_EQ(read("a = 1 b = 2"), "a=1 b=2");
  EXPECT_EQ(read("o { a = 1, b = 2, }"), "o={a=1 b=2}");
}

TEST(Hcl, TakesListsWithTrailingCommasAndObjects) {
  EXPECT_EQ(read("a = [1, \"b\", true, [2], {c = 3},\n]"), "a=[1,\"b\",true,[2],{c=3}]");
  EXPECT_EQ(read("a = [\n# one\n\"x\", // two\n\"y\" /* three */\n]"), "a=[\"x\",\"y\"]");
}

TEST(Hcl, SkipsCommentsOfEveryKind) {
  EXPECT_EQ(read("# a\n// b\n/* c\n d */ x /* e */ = /* f */ 1 # g"), "x=1");
}

TEST(Hcl, ReadsEscapes) {
  EXPECT_EQ(read(R"(a = "\"\\\n\t\x41\101\u00e9\U0001F511")"), "a=\"\"\\\n\tAAé\U0001F511\"");
  EXPECT_EQ(read(R"(a = "${file("x")} \" ${b}")"), "a=\"${file(\"x\")} \" ${b}\"");
  EXPECT_EQ(read(R"(a = "{{identity.entity.id}}")"), "a=\"{{identity.entity.id}}\"");
}

TEST(Hcl, ReadsHeredocs) {
  EXPECT_EQ(read("a = <<EOF\n  x\ny\nEOF\nb = 1"), "a=\"  x\ny\n\" b=1");
  EXPECT_EQ(read("a = <<EOF\n  x\n  EOF\n"), "a=\"  x\n\"");
  EXPECT_EQ(read("a = <<-EOF\n    x\n      y\n    EOF\n"), "a=\"x\n  y\n\"");
  EXPECT_EQ(read("a = <<-EOF\n  x\n    EOF\n"), "a=\"  x\n\"");  // less indented than the mark
  EXPECT_EQ(read("a = <<EOF\nEOF"), "a=\"\"");
  EXPECT_EQ(read("a = <<EOF\r\nx\r\nEOF\r\nb = 1\r\n"), "a=\"x\r\n\" b=1");
}

TEST(Hcl, KeepsRepeatedKeysInOrder) {
  const auto parsed = parse("l \"a\" {}\nx = 1\nl \"b\" {}\n");
  ASSERT_TRUE(parsed);
  const auto found = parsed->find_all("l");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0]->keys[1], "a");
  EXPECT_EQ(found[1]->place.line, 3);
  EXPECT_EQ(parsed->find("x")->value.place.line, 2);
  EXPECT_EQ(parsed->find("x")->value.place.column, 5);
  EXPECT_EQ(parsed->find("y"), nullptr);
}

TEST(Hcl, SaysWhereAndWhatIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"a = 1\nb", "line 2: expected '=' or '{' after the key \"b\", not the end"},
      {"\npath \"a\" {\n x = 1\n", "line 4: expected '}' for the '{' of line 2, not the end"},
      {"a = ", "line 1: expected a value, not the end"},
      {"a = }", "line 1: expected a value, not '}'"},
      {"a = b", "line 1: expected a value (strings stand in \"), not a word"},
      {"a b = 1", "line 1: expected '{' after a key with a label, not '='"},
      {"= 1", "line 1: expected a key, not '='"},
      {"a { = }", "line 1: expected a key or '}', not '='"},
      {"a = [1 2]", "line 1: expected ',' or ']', not a number"},
      {"a = [1,,2]", "line 1: expected a value, not ','"},
      {"a = [1\n", "line 2: expected ',' or ']', not the end"},
      {"a = \"x\ny\"", "line 1: this string has no closing \""},
      {"a = \"${x\"", "line 1: this string has a ${ with no }"},
      {"a = \"\\q\"", "line 1: unknown escape in a string; write \\\\ for a backslash"},
      {"a = \"\\ud800\"", "line 1: unknown escape in a string; write \\\\ for a backslash"},
      {"a = 10s", "line 1: expected a number; put \" around anything else, such as \"10s\""},
      {"a = 1.", "line 1: expected a number; put \" around anything else, such as \"10s\""},
      {"a = 'x'", "line 1: expected \" around a string, not '"},
      {"a : 1", "line 1: unexpected character ':'"},
      {"/ x", "line 1: expected // or /* after '/'"},
      {"\n/* x", "line 2: this comment has no */"},
      {"a = <<EOF\nx\n", "line 1: this heredoc has no line EOF"},
      {"a = <<\n", "line 1: expected a word and the line's end after <<"},
      {"a = <x", "line 1: expected << and a word"},
      {"a = 1\n\xff", "line 2: not valid UTF-8"},
      {"}", "line 1: expected a key, not '}'"},
  };
  for (const auto& [text, message] : kCases) EXPECT_EQ(read(text), std::string("! ") + message);
  EXPECT_EQ(read(std::string_view("a = \"\0\"", 7)), "! line 1: a NUL character");
}

TEST(Hcl, NeverQuotesAStringInAnError) {
  for (const char* text : {"a = [\"hunter2\" \"hunter2\"]", "a \"hunter2\" = 1", "a = hunter2"}) {
    EXPECT_EQ(read(text).find("hunter2"), std::string::npos) << read(text);
  }
}

TEST(HclJson, GivesTheSameTree) {
  EXPECT_EQ(read(R"({"a":1,"b":-2.5e3,"d":true,"f":"x\n\u00e9","g":[],"h":{},"n":null})"),
            "a=1 b=-2.5e3 d=true f=\"x\né\" g=[] h={}");
  EXPECT_EQ(read(" {} "), "");
  EXPECT_EQ(read("\xEF\xBB\xBF{\"a\": 1}"), "a=1");
}

TEST(HclJson, NestsLabelsAsObjectsAndLists) {
  const char* const kForms[] = {
      R"({"path": {"a/*": {"x": 1}, "b": {"x": 2}}})",
      R"({"path": [{"a/*": {"x": 1}}, {"b": {"x": 2}}]})",
      R"({"path": {"a/*": {"x": 1}}, "path": {"b": {"x": 2}}})",
      "path \"a/*\" { x = 1 }\npath \"b\" { x = 2 }",
      "path = { \"a/*\" = { x = 1 } b { x = 2 } }",
  };
  for (const char* text : kForms) {
    const auto parsed = parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(show(Object{labelled(*parsed, "path")}), "path:a/*={x=1} path:b={x=2}") << text;
  }
  const auto parsed = parse("{\n\"path\": {\n\"a\": {},\n\"b\": {}}}");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(labelled(*parsed, "path")[1].place.line, 4);
  EXPECT_EQ(show(Object{labelled(*parse("{\"path\": 5, \"x\": {\"y\": {}}}"), "path")}),
            "path=5 x={y={}}");
}

TEST(HclJson, SaysWhereAndWhatIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{\n\"a\": }", "line 2: expected a value"},
      {"{\"a\" 1}", "line 1: expected : after the key"},
      {"{\"a\": 1 \"b\": 2}", "line 1: expected , or } after a member"},
      {"{\"a\": [1 2]}", "line 1: expected , or ] after an element"},
      {"{\"a\": [null]}", "line 1: null can't be an element of a list"},
      {"{\"a\": 1,}", "line 1: expected a key in quotes"},
      {"{a: 1}", "line 1: expected a key in quotes"},
      {"{\"a\": 01}", "line 1: expected a value"},
      {"{\"a\": tru}", "line 1: expected a value"},
      {"{\"a\": \"x", "line 1: this string has no closing \""},
      {"{\"a\": \"\\q\"}", "line 1: unknown escape or control character in a string"},
      {"{\n", "line 2: expected a key in quotes"},
      {"{}\n{}", "line 2: expected the end after the closing }"},
  };
  for (const auto& [text, message] : kCases) EXPECT_EQ(read(text), std::string("! ") + message);
}

TEST(Hcl, KeepsToItsLimits) {
  const Limits kSmall{.bytes_max = 100, .depth_max = 5, .items_max = 10};
  EXPECT_TRUE(parse("a { b { } }", kSmall));
  for (const std::string& text :
       {std::string(101, ' '), std::string("a { b { c { d { } } } }"),
        std::string("a = [[[[[1]]]]]"), std::string("a = [1,2,3,4,5,6,7,8,9]"),
        std::string("{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{}}}}}}"),
        std::string("{\"a\":[1,2,3,4,5,6,7,8,9]}")}) {
    EXPECT_FALSE(parse(text, kSmall)) << text;
  }
  EXPECT_FALSE(parse(std::string(3'000'000, '[')));
  EXPECT_FALSE(parse("a = " + std::string(3'000'000, '[')));
  EXPECT_FALSE(parse("{\"a\":" + std::string(3'000'000, '[')));
}

}  // namespace
}  // namespace rekey::hcl
