#include "audit/record.h"

#include <gtest/gtest.h>

#include "audit/log.h"
#include "base/codec.h"

namespace rekey::audit {
namespace {

using base::Json;

// RFC 4231 test case 2: the key "Jefe".
const Hasher kJefe(base::SecretBytes::copy_of("Jefe"));

std::string record(const RecordInput& input, const Hasher* hasher = &kJefe) {
  std::string out;
  append_record(input, hasher, out);
  return out;
}

Json parsed(const std::string& text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json) << text;
  return json ? *json : Json();
}

TEST(Record, HashIsHmacSha256InVaultsForm) {
  EXPECT_EQ(kJefe.hash("what do ya want for nothing?"),
            "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Record, FullRecordIsCanonical) {
  const std::vector<std::string> policies = {"default", "app"};
  const RecordData::Field fields[] = {{"password", "hunter2"}};
  const Json request = *Json::parse(R"({"n":1,"list":[true,null,"x"]})");
  RecordInput input;
  input.time = base::WallTime(std::chrono::seconds(1'790'000'000));
  input.request_id = "id-1";
  input.operation = "read";
  input.mount_path = "secret/";
  input.mount_type = "kv";
  input.path = "secret/data/a";
  input.version = 3;
  input.entity_id = "e";
  input.token = "hvs.secret";
  input.token_accessor = "acc";
  input.policies = policies;
  input.deciding_rule = "app: secret/data/*";
  input.remote_address = "10.0.0.1";
  input.remote_port = 1234;
  input.user_agent = "curl";
  input.request.json = &request;
  input.request_bytes = 30;
  input.response.fields = fields;
  input.response_bytes = 99;
  input.status = 200;
  input.store_revision = 7;
  input.duration_us = 12;
  EXPECT_EQ(record(input),
            R"({"type":"request","time":"2026-09-21T14:13:20.000000000Z","id":"id-1",)"
            R"("operation":"read","path":"secret/data/a","version":3,)"
            R"("mount":{"path":"secret/","type":"kv"},)"
            R"("auth":{"entity_id":"e","token":")" +
                kJefe.hash("hvs.secret") +
                R"(","accessor":"acc","policies":["default","app"],"rule":"app: secret/data/*"},)"
                R"("remote":{"address":"10.0.0.1","port":1234,"user_agent":"curl"},)"
                R"("request":{"bytes":30,"data":{"list":[")" +
                kJefe.hash("true") + R"(",null,")" + kJefe.hash("x") + R"("],"n":")" +
                kJefe.hash("1") + R"("}},"response":{"bytes":99,"data":{"password":")" +
                kJefe.hash("hunter2") + R"("}},"status":200,"store_revision":7,"duration_us":12})");
}

TEST(Record, SealedLeavesValuesOut) {
  const Json request = *Json::parse(R"({"key":"unseal-share"})");
  RecordInput input;
  input.path = "sys/unseal";
  input.token = "hvs.secret";
  input.request.json = &request;
  const std::string text = record(input, nullptr);
  EXPECT_EQ(text.find("unseal-share"), text.npos);
  EXPECT_EQ(text.find("hvs."), text.npos);
  EXPECT_EQ(*parsed(text).find("hmac")->as_string(), "sealed");
}

TEST(Record, ManyLeavesAreCutAndCoveredByOneHash) {
  base::JsonObject object;
  for (int i = 0; i < 100; ++i) {
    object.set("k" + std::to_string(1000 + i), Json("v" + std::to_string(i)));
  }
  const Json body(std::move(object));
  RecordInput input;
  input.response.json = &body;
  const Json response = *parsed(record(input)).find("response");
  EXPECT_EQ(response.find("data")->as_object()->size(), kHashedLeavesMax);
  EXPECT_EQ(*response.find("data")->find("k1000")->as_string(), kJefe.hash("v0"));
  EXPECT_EQ(*response.find("whole")->as_string(), kJefe.hash(body.dump()));
}

TEST(Record, DeepBodiesAreHashedByTheirText) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "{\"d\":";
  text += "\"bottom-secret\"" + std::string(40, '}');
  const Json body = *Json::parse(text);
  RecordInput input;
  input.request.json = &body;
  const std::string out = record(input);
  EXPECT_EQ(out.find("bottom-secret"), out.npos);
  const Json* at = parsed(out).find("request")->find("data");
  (void)at;
  EXPECT_NE(out.find(kJefe.hash(text.substr(16 * 5, text.size() - 16 * 6))), out.npos);
}

// What base::Json writes gives the same record as a tree and as text.
TEST(Record, TextAndTreeGiveTheSame) {
  std::string deep;
  for (int i = 0; i < 30; ++i) deep += "[{\"d\":";
  deep += "1";
  for (int i = 0; i < 30; ++i) deep += "}]";
  std::string many = "{\"list\":[";
  for (int i = 0; i < 90; ++i) many += (i > 0 ? "," : "") + std::to_string(i);
  many += "],\"z\":{\"y\":1}}";
  for (const std::string& given :
       {std::string("{}"), std::string("[]"), std::string("null"), std::string("\"x\""),
        std::string("-1.5e3"), std::string(R"({"a":"b","c":[1,true,null,{},[],[[]],{"d":{}}]})"),
        std::string(R"({"quote\"d":"a\"b\\c\n\u0001","e":"\u00e9\ud83d\ude00"})"), deep, many}) {
    const std::string text = parsed(given).dump();
    const Json tree = parsed(text);
    RecordInput as_tree, as_text;
    as_tree.response.json = &tree;
    as_text.response.json_text = text;
    EXPECT_EQ(record(as_text), record(as_tree)) << text;
  }
}

TEST(Record, TextThatIsNoJsonIsOneHash) {
  for (const std::string text : {"{", "{\"a\"", "{\"a\":", "[1,", "[1", "\"x", "{\"a\":1}x",
                                 "{a:1}", "[[[[[[[[[[[[[[[[[[[[", "{\"a\":\"\\", ","}) {
    RecordInput input;
    input.response.json_text = text;
    EXPECT_EQ(*parsed(record(input)).find("response")->find("data")->as_string(), kJefe.hash(text))
        << text;
  }
}

TEST(Record, StaysWithinItsLimitWhateverComes) {
  const std::string nasty(100'000, '\x01');
  const std::string invalid(100'000, '\xff');
  const std::string wide = [] {
    std::string out;
    for (int i = 0; i < 50'000; ++i) out += "\xc3\xa9";
    return out;
  }();
  base::JsonObject object;
  for (int i = 0; i < 60; ++i) object.set(std::string(2'000, 'k') + std::to_string(i), Json("v"));
  const Json body(std::move(object));
  const std::vector<std::string> policies(3'000, std::string(200, 'p'));
  for (const std::string& text : {nasty, invalid, wide}) {
    RecordInput input;
    for (std::string_view* member : {&input.request_id,
                                     &input.operation,
                                     &input.mount_path,
                                     &input.mount_type,
                                     &input.mount_accessor,
                                     &input.path,
                                     &input.entity_id,
                                     &input.token_accessor,
                                     &input.display_name,
                                     &input.auth_mount,
                                     &input.role,
                                     &input.token_type,
                                     &input.deciding_rule,
                                     &input.remote_address,
                                     &input.forwarded_address,
                                     &input.user_agent,
                                     &input.client_certificate,
                                     &input.response_accessor,
                                     &input.lease_id,
                                     &input.error}) {
      *member = text;
    }
    input.request.json = &body;
    input.response.json = &body;
    input.policies = policies;
    const std::string out = record(input);
    EXPECT_LE(out.size(), kEntryBytesMax);
    const Json json = parsed(out);
    EXPECT_TRUE(json.find("response")->find("data")->find("sha256") != nullptr);
    EXPECT_TRUE(json.find("auth")->find("policies")->find("sha256") != nullptr);
    EXPECT_TRUE(json.find("path")->as_string()->ends_with("..."));
  }
}

TEST(Record, OnlyTheResponseIsGivenUpIfThatIsEnough) {
  base::JsonObject object;
  for (int i = 0; i < 40; ++i) object.set(std::string(2'000, 'k') + std::to_string(i), Json("v"));
  const Json body(std::move(object));
  const Json small = *Json::parse(R"({"a":"b"})");
  RecordInput input;
  input.request.json = &small;
  input.response.json = &body;
  const Json json = parsed(record(input));
  EXPECT_EQ(*json.find("request")->find("data")->find("a")->as_string(), kJefe.hash("b"));
  const Json* digest = json.find("response")->find("data");
  EXPECT_EQ(digest->find("sha256")->as_string()->size(), 64u);
  EXPECT_GT(*digest->find("bytes")->as_int(), 80'000);
}

}  // namespace
}  // namespace rekey::audit
