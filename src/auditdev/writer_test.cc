// Writers on real files, pipes and sockets, also such that hang.
#include "auditdev/writer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "storage/testing/temporary_folder.h"

namespace rekey::auditdev {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{10'000};  // of a test, for what happens in milliseconds

std::string content(const std::string& path) {
  std::ifstream in(path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

template <class Condition>
bool eventually(const Condition& condition) {
  for (milliseconds waited{0}; waited < kPatience; waited += milliseconds(5)) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return condition();
}

// A socket that listens, and reads only when asked to.
class Listener {
 public:
  explicit Listener(const std::string& unix_path) {
    fd_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    unix_path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 4), 0);
  }
  Listener() {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 4), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() {
    hang_up();
    ::close(fd_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  void accept() { connection_ = ::accept(fd_, nullptr, nullptr); }
  void hang_up() {
    if (connection_ >= 0) ::close(connection_);
    connection_ = -1;
  }
  // What came so far, until `bytes` are there or nothing more comes for a second.
  std::string read(size_t bytes) {
    std::string out;
    char piece[65'536];
    while (out.size() < bytes) {
      pollfd one{connection_, POLLIN, 0};
      if (::poll(&one, 1, 1'000) <= 0) break;
      const ssize_t got = ::recv(connection_, piece, sizeof piece, 0);
      if (got <= 0) break;
      out.append(piece, static_cast<size_t>(got));
    }
    return out;
  }

 private:
  int fd_ = -1, connection_ = -1;
  uint16_t port_ = 0;
};

class WriterTest : public ::testing::Test {
 protected:
  WriterTest() : log_(clock_, -1) { (void)::signal(SIGPIPE, SIG_IGN); }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

  static Options options(const std::string& type, std::map<std::string, std::string> texts) {
    texts.emplace("write_timeout", "1s");
    auto parsed = parse_options(type, texts);
    EXPECT_TRUE(parsed) << parsed.error().message();
    return std::move(*parsed);
  }
  Options file(const std::string& name) const {
    Options made = options("file", {{"file_path", path(name)}});
    made.write_timeout = milliseconds(200);
    return made;
  }
  Options unix_socket(const std::string& name) const {
    Options made = options("socket", {{"address", path(name)}, {"socket_type", "unix"}});
    made.write_timeout = milliseconds(200);
    return made;
  }
  std::unique_ptr<Writer> writer(const Options& options) {
    return std::make_unique<Writer>(
        "test/", options, SinkParts{.clock = clock_, .syslog_sockets = {path("log")}}, log_);
  }

  storage::TemporaryFolder folder_;
  base::SystemClock clock_;
  base::Log log_;
};

TEST_F(WriterTest, AppendsToAFileWithItsMode) {
  Options with_mode = options("file", {{"file_path", path("new/a.log")}, {"mode", "0640"}});
  {
    auto one = writer(with_mode);
    one->put("first\n");
    one->put("second\n");
  }
  auto again = writer(with_mode);
  again->put("third\n");
  again.reset();
  EXPECT_EQ(content(path("new/a.log")), "first\nsecond\nthird\n");
  struct stat found{};
  ASSERT_EQ(::stat(path("new/a.log").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0640U);
}

TEST_F(WriterTest, OpensAFileAnewThatWasMovedAway) {
  auto one = writer(file("a.log"));
  one->put("before\n");
  ASSERT_TRUE(eventually([&] { return content(path("a.log")) == "before\n"; }));
  std::filesystem::rename(path("a.log"), path("a.log.1"));
  one->rotate();
  one->put("after\n");
  one.reset();
  EXPECT_EQ(content(path("a.log.1")), "before\n");
  EXPECT_EQ(content(path("a.log")), "after\n");
}

TEST_F(WriterTest, APipeThatNobodyReadsIsCutOffAndResumed) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const int reader = ::open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  auto one = writer(file("pipe"));
  const std::string line(1'000, 'x');
  const size_t lines = 2 * kQueueBytesMax / line.size();  // more than pipe and queue hold together
  size_t put = 0;
  for (; put < lines; put++) one->put(line + "\n");
  // Nobody was held up, and the device says that it doesn't work.
  ASSERT_TRUE(eventually([&] { return !one->health().works; }));
  const WriterHealth hung = one->health();
  EXPECT_GT(hung.lines_dropped, 0U);
  EXPECT_LE(hung.waiting_bytes, kQueueBytesMax);
  EXPECT_NE(hung.reason.find("took nothing"), std::string::npos) << hung.reason;
  // Somebody reads again: whole lines, none of those that were kept is missing or torn.
  std::string got;
  char piece[65'536];
  ASSERT_TRUE(eventually([&] {
    for (ssize_t count = 0; (count = ::read(reader, piece, sizeof piece)) > 0;) {
      got.append(piece, static_cast<size_t>(count));
    }
    return one->health().works && one->health().waiting_bytes == 0 &&
           one->health().lines_written + one->health().lines_dropped == put;
  }));
  for (ssize_t count = 0; (count = ::read(reader, piece, sizeof piece)) > 0;) {
    got.append(piece, static_cast<size_t>(count));
  }
  const WriterHealth after = one->health();
  EXPECT_EQ(after.lines_written * (line.size() + 1), got.size());
  EXPECT_EQ(got.substr(0, line.size() + 1), line + "\n");
  EXPECT_EQ(got.find('\n', got.size() - line.size() - 1), got.size() - 1);
  one->put("last\n");
  ASSERT_TRUE(eventually([&] { return one->health().lines_written == after.lines_written + 1; }));
  ::close(reader);
}

TEST_F(WriterTest, ClosingAHungDeviceTakesABoundedTime) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const int reader = ::open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  Options slow = file("pipe");
  slow.write_timeout = kWriteTimeoutMax;
  auto one = writer(slow);
  for (int i = 0; i < 300; i++) one->put(std::string(1'000, 'x') + "\n");
  ASSERT_TRUE(eventually([&] { return one->health().waiting_bytes < 300'000; }));
  one->start_closing();
  EXPECT_TRUE(one->finish(milliseconds(50)));  // within kNoticeTime after the patience
  ::close(reader);
}

TEST_F(WriterTest, AUnixSocketThatGoesAwayAndComesBack) {
  auto listener = std::make_unique<Listener>(path("socket"));
  auto one = writer(unix_socket("socket"));
  one->put("one\n");
  listener->accept();
  EXPECT_EQ(listener->read(4), "one\n");
  listener.reset();
  std::filesystem::remove(path("socket"));
  one->put("two\n");
  ASSERT_TRUE(eventually([&] {
    return !one->health().works && one->health().reason.find("dial unix") != std::string::npos;
  }));
  one->put("three\n");
  Listener again(path("socket"));
  again.accept();
  EXPECT_EQ(again.read(10), "two\nthree\n");
  ASSERT_TRUE(eventually([&] { return one->health().works; }));
  EXPECT_EQ(one->health().lines_dropped, 0U);
}

TEST_F(WriterTest, ATcpListenerThatHangsHoldsUpNobody) {
  Listener listener;
  Options tcp = options("socket", {{"address", listener.address()}});
  tcp.write_timeout = milliseconds(200);
  auto one = writer(tcp);
  one->put("first\n");
  listener.accept();
  EXPECT_EQ(listener.read(6), "first\n");
  // Nobody reads on: the kernel's buffers fill, then the queue.
  const std::string line = std::string(9'999, 'y') + "\n";
  const size_t lines = 3'000;
  for (size_t i = 0; i < lines; i++) one->put(line);
  ASSERT_TRUE(
      eventually([&] { return !one->health().works || one->health().lines_written == lines + 1; }));
  // Reading again brings what was kept, in order and whole.
  std::string got;
  ASSERT_TRUE(eventually([&] {
    got += listener.read(1'000'000);
    const WriterHealth health = one->health();
    return health.works && health.lines_written + health.lines_dropped == lines + 1;
  }));
  got += listener.read(64'000'000);
  ASSERT_EQ(got.size() % line.size(), 0U);
  for (size_t at = 0; at < got.size(); at += line.size()) {
    ASSERT_EQ(got.compare(at, line.size(), line), 0);
  }
}

TEST_F(WriterTest, SyslogGetsADatagramALine) {
  const int server = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path("log").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  auto one = writer(options("syslog", {{"facility", "LOCAL3"}, {"tag", "rekey"}}));
  one->put("{\"a\":1}\n");
  one->put("{\"a\":2}\n");
  char piece[1'024];
  for (int i = 1; i <= 2; i++) {
    const ssize_t got = ::recv(server, piece, sizeof piece, 0);
    ASSERT_GT(got, 0);
    const std::string text(piece, static_cast<size_t>(got));
    EXPECT_TRUE(text.starts_with("<158>")) << text;  // local3.info
    EXPECT_NE(
        text.find(" rekey[" + std::to_string(::getpid()) + "]: {\"a\":" + std::to_string(i) + "}"),
        std::string::npos)
        << text;
  }
  ::close(server);
}

TEST_F(WriterTest, UdpSendsADatagramALineAndSkipsWhatIsTooLong) {
  const int server = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(server, reinterpret_cast<sockaddr*>(&address), &size), 0);
  auto one =
      writer(options("socket", {{"address", "127.0.0.1:" + std::to_string(ntohs(address.sin_port))},
                                {"socket_type", "udp"}}));
  one->put(std::string(70'000, 'z') + "\n");
  one->put("short\n");
  char piece[1'024];
  const ssize_t got = ::recv(server, piece, sizeof piece, 0);
  EXPECT_EQ(std::string(piece, static_cast<size_t>(std::max<ssize_t>(got, 0))), "short\n");
  ASSERT_TRUE(eventually([&] { return one->health().lines_dropped == 1; }));
  ::close(server);
}

TEST_F(WriterTest, AFullDiskIsSaid) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  Options full = file("x");
  full.file_path = "/dev/full";
  auto one = writer(full);
  one->put("line\n");
  ASSERT_TRUE(eventually([&] { return !one->health().works; }));
  EXPECT_EQ(one->health().reason, "write: no space left on device");
  one->start_closing();
  EXPECT_TRUE(one->finish(kPatience));
  EXPECT_EQ(one->health().lines_written, 0U);
}

}  // namespace
}  // namespace rekey::auditdev
