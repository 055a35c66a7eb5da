// The command line without a server: words in, exit code and text out.
#include "cli/cli.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "cli/command.h"
#include "cli/help.h"
#include "cli/text.h"
#include "cli/values.h"

namespace rekey::cli {
namespace {

struct Outcome {
  int code;
  std::string out, err;
};

class Cli : public testing::Test {
 protected:
  Outcome run_words(std::vector<std::string> words, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out, err;
    base::SystemRandom random;
    Console console{.in = in,
                    .out = out,
                    .err = err,
                    .in_is_terminal = false,
                    .out_is_terminal = false,
                    .program = program_,
                    .version = "9.8.7",
                    .built = "2026-01-01",
                    .environment = [&](const std::string& name) -> std::optional<std::string> {
                      const auto found = environment_.find(name);
                      if (found == environment_.end()) return std::nullopt;
                      return found->second;
                    },
                    .ask_secret = [](std::string_view) -> base::Result<std::string> {
                      return base::fail(base::ErrorKind::kInvalid, "no terminal");
                    },
                    .random = random,
                    .wait = [](base::Duration) {}};
    const int code = run(words, console);
    return {code, out.str(), err.str()};
  }

  std::string program_ = "rekey";
  std::map<std::string, std::string> environment_ = {{"HOME", "/nonexistent"},
                                                     {"VAULT_MAX_RETRIES", "0"}};
};

TEST_F(Cli, SaysItsVersionUnderBothNames) {
  EXPECT_EQ(run_words({"version"}).out, "Rekey v9.8.7, built 2026-01-01\n");
  program_ = "vault";
  for (const char* word : {"version", "-version", "--version", "-v"}) {
    EXPECT_EQ(run_words({word}).out, "Vault v1.14.10 (Rekey 9.8.7), built 2026-01-01\n");
  }
}

TEST_F(Cli, EveryCommandHasHelpWithAnExampleUnderTheProgramsName) {
  program_ = "vault";
  for (const auto table : all_commands()) {
    for (const Command& command : table) {
      std::vector<std::string> words;
      std::istringstream names{std::string(command.name)};
      for (std::string word; names >> word;) words.push_back(word);
      words.emplace_back("--help");
      const Outcome outcome = run_words(words);
      EXPECT_EQ(outcome.code, 0) << command.name;
      EXPECT_TRUE(outcome.out.starts_with("Usage: vault " + std::string(command.name)))
          << outcome.out;
      EXPECT_FALSE(outcome.out.contains("$ rekey")) << outcome.out;
      EXPECT_FALSE(command.summary.empty()) << command.name;
    }
  }
}

TEST_F(Cli, CommandsThatDoNotExist) {
  EXPECT_EQ(run_words({"nonsense"}).code, 127);
  EXPECT_EQ(run_words({}).code, 127);
  EXPECT_EQ(run_words({"kv", "nonsense"}).code, 1);
  EXPECT_EQ(run_words({"kv"}).code, 1);
  EXPECT_EQ(run_words({"kv", "-h"}).code, 0);
  EXPECT_TRUE(run_words({"-address=x", "status"}).err.contains("Flags come after the command"));
}

TEST_F(Cli, WrongCommandLinesAreCodeOne) {
  EXPECT_EQ(run_words({"kv", "get"}).err, "Not enough arguments (expected 1, got 0)\n");
  EXPECT_EQ(run_words({"kv", "get", "a", "b"}).err, "Too many arguments (expected 1, got 2)\n");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"kv", "get", "-nonsense", "a"},
        {"kv", "get", "-version=x", "a"},
        {"token", "create", "-ttl=nonsense"},
        {"status", "-format=xml"},
        {"kv", "get", "-mount"}}) {
    const Outcome outcome = run_words(words);
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(Cli, OneAndTwoDashesAndBothNamesOfTheEnvironment) {
  const std::vector<std::string> words = {"read", "-output-curl-string", "a/b"};
  environment_["VAULT_ADDR"] = "http://v:1";
  EXPECT_TRUE(run_words(words).out.contains("\"http://v:1/v1/a/b\""));
  environment_["REKEY_ADDR"] = "http://r:1";
  EXPECT_TRUE(run_words(words).out.contains("\"http://r:1/v1/a/b\""));
  for (const char* flag : {"-address=http://f:1", "--address=http://f:1"}) {
    EXPECT_TRUE(
        run_words({"read", "--output-curl-string", flag, "a/b"}).out.contains("http://f:1/"));
  }
  EXPECT_TRUE(run_words({"read", "-address", "http://f:1", "-output-curl-string", "a"})
                  .out.contains("//f:1"));
  environment_["VAULT_NAMESPACE"] = "team";
  EXPECT_TRUE(run_words(words).out.contains("-H \"X-Vault-Namespace: team/\""));
  environment_["VAULT_FORMAT"] = "nonsense";
  EXPECT_EQ(run_words({"read", "a"}).code, 1);
}

TEST_F(Cli, TakesVaultsFlagsThatScriptsUse) {
  const std::string tune =
      run_words({"auth", "tune", "-output-curl-string", "-user-lockout-threshold=5",
                 "-user-lockout-duration=10m", "-user-lockout-disable=false", "people"})
          .out;
  EXPECT_TRUE(tune.contains("\"user_lockout_config\":{")) << tune;
  EXPECT_TRUE(tune.contains("\"lockout_threshold\":\"5\"")) << tune;
  EXPECT_TRUE(tune.contains("\"lockout_duration\":\"10m0s\"")) << tune;
  EXPECT_TRUE(tune.contains("\"lockout_disable\":false")) << tune;
  EXPECT_FALSE(run_words({"auth", "tune", "-output-curl-string", "-token-type=batch", "people"})
                   .out.contains("lockout"));
  // The server says that it takes no PGP keys; the command doesn't leave them out.
  EXPECT_TRUE(run_words({"operator", "rekey", "-init", "-output-curl-string", "-pgp-keys=a,b"})
                  .out.contains("\"pgp_keys\":[\"a\",\"b\"]"));
  EXPECT_TRUE(run_words({"operator", "generate-root", "-init", "-output-curl-string", "-pgp-key=a"})
                  .out.contains("\"pgp_key\":\"a\""));
  EXPECT_TRUE(run_words({"delete", "-output-curl-string", "-disable-redirects", "-unlock-key=x",
                         "-format=json", "a"})
                  .out.contains("-X DELETE"));
}

TEST_F(Cli, TokenComesFromTheEnvironmentBeforeTheFile) {
  environment_["VAULT_TOKEN"] = "from-vault";
  EXPECT_EQ(run_words({"print", "token"}).out, "from-vault\n");
  environment_["REKEY_TOKEN"] = "from-rekey";
  EXPECT_EQ(run_words({"print", "token"}).out, "from-rekey\n");
}

TEST_F(Cli, AServerThatIsNotThereIsCodeTwoAndSaysWhatToDo) {
  environment_["VAULT_ADDR"] = "http://127.0.0.1:1";
  const Outcome read = run_words({"read", "a"});
  EXPECT_EQ(read.code, 2);
  EXPECT_TRUE(read.err.contains("Is the server running there?")) << read.err;
  EXPECT_EQ(run_words({"status"}).code, 1);  // 2 would mean sealed
}

TEST_F(Cli, RootTokensAreDecodedWithoutAServer) {
  // "hvs.secret" under the one-time password "0123456789", in base64 without padding.
  const std::string encoded = "WEdBHUdQVUVdTQ";
  const Outcome outcome =
      run_words({"operator", "generate-root", "-decode=" + encoded, "-otp=0123456789"});
  EXPECT_EQ(outcome.out, "hvs.secret") << outcome.err;
  EXPECT_EQ(
      run_words({"operator", "generate-root", "-decode=-", "-otp=0123456789"}, encoded + "\n").out,
      "hvs.secret");
  EXPECT_EQ(run_words({"operator", "generate-root", "-decode=" + encoded}).code, 1);
  EXPECT_EQ(run_words({"operator", "generate-root", "-decode=" + encoded, "-otp=short"}).code, 1);
}

TEST_F(Cli, CompletionKnowsEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = run_words({"completion", shell});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_TRUE(outcome.out.contains("enable-versioning")) << shell;
  }
  EXPECT_EQ(run_words({"completion", "tcsh"}).code, 1);
}

TEST(Values, KeysAndValues) {
  const auto parse = [](std::vector<std::string> words, const std::string& input = "") {
    const auto read = [&] { return input; };
    const auto values = parse_values(words, read);
    return values ? base::Json(*values).dump() : "error: " + values.error().message();
  };
  EXPECT_EQ(parse({"a=1", "b=x=y", "c="}), R"({"a":"1","b":"x=y","c":""})");
  EXPECT_EQ(parse({"a=1", "a=2", "a=3"}), R"({"a":["1","2","3"]})");
  EXPECT_EQ(parse({"a=-"}, "typed\n"), R"({"a":"typed\n"})");
  EXPECT_EQ(parse({"-"}, R"({"n": 1, "o": {"p": [true]}})"), R"({"n":1,"o":{"p":[true]}})");
  EXPECT_EQ(parse({"a=\\@b"}), R"({"a":"@b"})");
  EXPECT_TRUE(parse({"novalue"}).contains("format must be key=value"));
  EXPECT_TRUE(parse({"a=@/nonexistent"}).contains("no such file"));
  EXPECT_TRUE(parse({"-", "a=-"}, "{}").contains("was read already"));
  EXPECT_TRUE(parse({"-"}, "[1]").contains("must be a JSON object"));
}

TEST(Text, Cells) {
  const auto cell = [](const char* json) { return format_cell(*base::Json::parse(json)); };
  EXPECT_EQ(cell(R"({"b":[1,"x",null],"a":{"c":true}})"), "map[a:map[c:true] b:[1 x <nil>]]");
  EXPECT_EQ(cell("2.50"), "2.50");
  EXPECT_EQ(format_short_duration(std::chrono::hours(768)), "768h");
  EXPECT_EQ(format_short_duration(std::chrono::minutes(90)), "1h30m");
  EXPECT_EQ(format_short_duration(std::chrono::seconds(0)), "0s");
  EXPECT_EQ(format_json(*base::Json::parse(R"({"b":"<&>","a":[]})")),
            "{\n  \"a\": [],\n  \"b\": \"\\u003c\\u0026\\u003e\"\n}");
}

TEST(Text, WrapsAtWords) {
  const std::string text =
      wrap_text(std::string(60, 'a') + " " + std::string(30, 'b') + "\n\nc", 2);
  EXPECT_EQ(text, "  " + std::string(60, 'a') + "\n  " + std::string(30, 'b') + "\n  \n  c");
}

}  // namespace
}  // namespace rekey::cli
