#!/usr/bin/env python3
"""Plants each kind of violation in a small tree and checks that tools/check.py finds just that."""

import pathlib
import tempfile
import unittest

import check

LAYERS = """
[rooms]
base = []
crypto = ["base"]
storage = ["base"]
barrier = ["crypto", "storage"]
"engine/kv" = ["barrier"]
"engine/pki" = ["barrier"]
cli = ["base"]

[external]
storage = ["lmdb"]

[headers]
lmdb = ["lmdb.h"]
openssl = ["openssl/"]
"""
HEADER = "// What it is.\n#pragma once\n"


class CheckTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("tools/layers.toml", LAYERS)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def rules(self, path=None, text=None):
        """The rules that are violated, after one more file."""
        if path:
            self.write(path, text)
        return [rule for _, _, rule, _ in check.run(self.root)[0].violations]

    # --- arrows

    def test_clean_tree(self):
        self.write("src/base/error.h", HEADER)
        self.write("src/engine/kv/kv.cc", '#include <vector>\n#include "base/error.h"\n'
                   '#include "barrier/view.h"\n#include "engine/kv/kv.h"\n')
        self.write("src/storage/lmdb.cc", "#include <lmdb.h>\n#include <sys/mman.h>\n")
        self.assertEqual(self.rules(), [])

    def test_arrows(self):
        for path, text in (
            ("src/base/a.cc", '#include "crypto/aead.h"\n'),            # up
            ("src/crypto/a.cc", '#include "storage/store.h"\n'),        # beside
            ("src/engine/kv/a.cc", '#include "engine/pki/pki.h"\n'),    # sibling
            ("src/engine/kv/a.cc", '#include "kv.h"\n'),                # not from src
            ("src/attic/a.cc", "int x;\n"),                             # no room
            ("src/crypto/a.cc", "#include <lmdb.h>\n"),                 # another room's library
            ("src/storage/a.cc", "#include <openssl/evp.h>\n"),
            ("src/storage/a.cc", "#include <boost/beast.hpp>\n"),       # nobody's library
            ("src/barrier/a.cc", '#include "storage/testing/fault_store.h"\n'),
            ("src/barrier/a.cc", "#include <gtest/gtest.h>\n"),
        ):
            with self.subTest(path=path, text=text):
                self.assertEqual(self.rules(path, text), ["layers"])
                (self.root / path).unlink()

    def test_tests_may_use_fakes_from_below(self):
        self.assertEqual(self.rules("src/barrier/view_test.cc", "#include <gtest/gtest.h>\n"
                                    '#include "storage/testing/fault_store.h"\n'), [])

    def test_table_goes_down(self):
        self.assertEqual(self.rules("tools/layers.toml", LAYERS.replace(
            'crypto = ["base"]', 'crypto = ["barrier"]')), ["layers"])

    def test_table_is_toml(self):
        self.assertIn("layers", self.rules("tools/layers.toml", "[rooms\n"))

    # --- banned calls

    def test_each_ban(self):
        for rule, code in (
            ("stdout", 'std::cout << 1;'), ("stdout", 'printf("x");'), ("stdout", "fputs(a, b);"),
            ("rand", "int x = rand();"), ("rand", "std::mt19937 g;"),
            ("entropy", "getrandom(a, 1, 0);"), ("entropy", "RAND_bytes(a, 1);"),
            ("clock", "time(nullptr);"), ("clock", "auto t = std::chrono::steady_clock::now();"),
            ("clock", "std::chrono::system_clock::now();"), ("clock", "clock_gettime(a, b);"),
            ("sleep", "std::this_thread::sleep_for(a);"), ("sleep", "usleep(1);"),
            ("memcmp", "if (memcmp(a, b, 16) == 0) f();"),
            ("c-string", "strcpy(a, b);"), ("c-string", "sprintf(a, b);"),
            ("c-number", "atoi(a);"), ("c-number", "std::stoi(a);"),
            ("shell", "system(a);"), ("shell", "popen(a, b);"),
            ("throw", "throw std::runtime_error(a);"), ("throw", "throw;"),
            ("regex", "std::regex r;"),
            ("new", "auto* a = new Thing(1);"), ("new", "delete a;"), ("new", "new (p) int;"),
            ("using-namespace", "using namespace std;"),
            ("macro", "#define X 1"), ("assert", "assert(a);"), ("exit", "std::exit(1);"),
            ("detach", "thread.detach();"), ("async", "std::async(f);"),
            ("getenv", 'std::getenv("X");'), ("goto", "goto end;"),
        ):
            with self.subTest(code=code):
                self.assertEqual(self.rules("src/base/a.cc", code + "\n"), [rule])

    def test_no_false_alarm(self):
        for code in (
            "// throw, new, printf(, memcmp(", '/* time(0)\n rand() */', 'auto a = "throw new";',
            'auto a = R"(printf("x"); throw)";', "X(const X&) = delete;", "snprintf(a, 1, b);",
            "lease.time(0);", "void* operator new(size_t size);", "a.sleep(1);",
            "auto new_key = 1;", "using namespace std::chrono_literals;", "expire_time(0);",
            "return std::unique_ptr<Log>(new Log(1));", "std::unique_ptr<Log> log(new Log(1));",
            "char a = '\"'; // throw",
            "int a = 1'000'000; // new X",
        ):
            with self.subTest(code=code):
                self.assertEqual(self.rules("src/base/a.cc", code + "\n"), [])

    def test_only_where_it_holds(self):
        self.assertEqual(self.rules("src/cli/a.cc", 'printf("x");\n'), [])
        self.assertEqual(self.rules("src/base/a_test.cc", "x = steady_clock::now();\n"), [])

    def test_allowlist(self):
        self.write("tools/banned-allowed.txt", "memcmp src/base/a.cc # fixed, public bytes\n")
        self.assertEqual(self.rules("src/base/a.cc", "memcmp(a, b, 1);\n"), [])
        self.assertEqual(self.rules("src/base/b.cc", "memcmp(a, b, 1);\n"), ["memcmp"])
        self.write("src/base/b.cc", "")
        self.assertEqual(self.rules("src/base/a.cc", "\n"), ["allowlist"])  # not used any more

    def test_allowlist_needs_a_reason(self):
        self.write("tools/banned-allowed.txt", "memcmp src/base/a.cc\n")
        self.assertEqual(self.rules("src/base/a.cc", "memcmp(a, b, 1);\n"), ["allowlist", "memcmp"])

    def test_markers(self):
        for path in ("src/base/a.cc", "tools/a.py", "docs/a.md"):
            self.assertEqual(self.rules(path, "// TO" + "DO: later\n"), ["marker"])
            (self.root / path).unlink()

    # --- lengths

    @staticmethod
    def function(lines, head="int f(int a)"):
        return head + " {\n" + "  g();\n" * (lines - 2) + "}\n"

    def test_function_length(self):
        for head in (
            "int f(int a)", "void Thing::run() const", "Thing::Thing(int a) : a_(a)",
            "Thing::Thing(int a) : a_{a}, b_{{1}, 2}", "TEST(Thing, Works)",
            "template <class T>\nint f(T a)", "std::vector<int> f(std::map<int, int> a = {})",
            "bool operator==(const A& a, const B& b)",
        ):
            for before, after in (("", ""), ("namespace a::b {\nnamespace {\n", "}\n}\n"),
                                  ("class A final : public B {\n public:\n", "};\n")):
                with self.subTest(head=head, before=before):
                    fits, over = check.FUNCTION_LINES_MAX, check.FUNCTION_LINES_MAX + 1
                    fits -= head.count("\n")
                    over -= head.count("\n")
                    self.assertEqual(
                        self.rules("src/base/a.cc", before + self.function(fits, head) + after), [])
                    self.assertEqual(
                        self.rules("src/base/a.cc", before + self.function(over, head) + after),
                        ["length"])

    def test_tables_are_no_functions(self):
        rows = "    {1, 2},\n" * 100
        for head in ("constexpr int kTable[][2] =", "const std::vector<Row> kTable =",
                     "enum class A", "struct A"):
            self.assertEqual(self.rules("src/base/a.cc", head + " {\n" + rows + "};\n"), [])

    def test_a_raw_string_is_data(self):
        text = 'auto f() {\n  return R"(' + "x\n" * 100 + ')";\n}\n'
        self.assertEqual(self.rules("src/base/a.cc", text), [])
        self.assertEqual(self.rules("src/base/a.cc", text.replace("  return", "\n" * 70)),
                         ["length"])

    def test_file_length(self):
        self.assertEqual(self.rules("src/base/a.cc", "int a;\n" * check.FILE_LINES_MAX), [])
        self.assertEqual(self.rules("src/base/a.cc", "int a;\n" * (check.FILE_LINES_MAX + 1)),
                         ["length"])

    def test_ratchet(self):
        self.write("src/base/a.cc", self.function(90))
        self.write("tools/ratchet.txt", "# why\nfunction src/base/a.cc f 90\n")
        self.assertEqual(self.rules(), [])
        self.assertEqual(self.rules("src/base/a.cc", self.function(91)), ["length"])
        self.assertEqual(self.rules("src/base/a.cc", self.function(80)), ["ratchet"])
        check.run(self.root, update_ratchet=True)
        self.assertEqual((self.root / "tools/ratchet.txt").read_text(),
                         "# why\nfunction src/base/a.cc f 80\n")
        self.assertEqual(self.rules("src/base/a.cc", self.function(60)), ["ratchet"])
        check.run(self.root, update_ratchet=True)
        self.assertEqual(self.rules(), [])

    def test_ratchet_update_never_loosens(self):
        self.write("src/base/a.cc", self.function(99))
        self.write("tools/ratchet.txt", "function src/base/a.cc f 90\n")
        check.run(self.root, update_ratchet=True)
        self.assertEqual(self.rules(), ["length"])

    def test_columns(self):
        self.assertEqual(self.rules("src/base/a.cc", "// " + "x" * 97 + "\n"), [])
        self.assertEqual(self.rules("src/base/a.cc", "// " + "x" * 98 + "\n"), ["columns"])
        (self.root / "src/base/a.cc").unlink()
        self.assertEqual(self.rules("tools/a", "#!/bin/sh\n" + "x" * 101 + "\n"), ["columns"])

    # --- headers and documents

    def test_headers(self):
        self.assertEqual(self.rules("src/base/a.h", "#pragma once\n"), ["header"])
        self.assertEqual(self.rules("src/base/a.h", "// What it is.\n"), ["header"])

    def test_links(self):
        self.write("docs/there.md", "x\n")
        self.assertEqual(self.rules("docs/a.md", "[x](there.md#part) [y](https://example.org)\n"), [])
        self.assertEqual(self.rules("docs/a.md", "[x](gone.md)\n"), ["link"])

    def test_build_folders_are_not_ours(self):
        self.assertEqual(self.rules("build/release/a.cc", "throw 1;\n"), [])


if __name__ == "__main__":
    unittest.main()
