#include "base/metrics.h"

#include <charconv>
#include <cmath>

namespace rekey::base {
namespace {

std::string number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}

// Label values: backslash, quote and line feed are escaped, as the exposition format says.
void append_labels(std::string& out, const MetricsPage::Labels& labels, std::string_view bound) {
  if (labels.empty() && bound.empty()) return;
  out += '{';
  bool first = true;
  const auto one = [&](std::string_view name, std::string_view value) {
    if (!first) out += ',';
    first = false;
    out.append(name).append("=\"");
    for (const char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n')
        out += "\\n";
      else
        out += c;
    }
    out += '"';
  };
  for (const auto& [name, value] : labels) one(name, value);
  if (!bound.empty()) one("le", bound);
  out += '}';
}

void append_line(std::string& out, std::string_view name, const MetricsPage::Labels& labels,
                 std::string_view bound, std::string_view value) {
  out += name;
  append_labels(out, labels, bound);
  out.append(" ").append(value).append("\n");
}

Json labels_json(const MetricsPage::Labels& labels) {
  JsonObject out;
  for (const auto& [name, value] : labels) out.set(name, value);
  return out;
}

Json real(double value) {
  auto parsed = Json::parse(number(value));
  return parsed ? std::move(*parsed) : Json(nullptr);
}

// Vault shows Prometheus' names with dots.
std::string dotted(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c == '_') c = '.';
  }
  return out;
}

}  // namespace

void MetricsPage::add(Sample sample) {
  if (!prefix_.empty()) sample.name = prefix_ + "_" + sample.name;
  samples_.push_back(std::move(sample));
}

void MetricsPage::gauge(std::string_view name, std::string_view help, double value, Labels labels) {
  add({Kind::kGauge, std::string(name), std::string(help), std::move(labels), value, {}, {}});
}

void MetricsPage::counter(std::string_view name, std::string_view help, double value,
                          Labels labels) {
  add({Kind::kCounter, std::string(name), std::string(help), std::move(labels), value, {}, {}});
}

void MetricsPage::histogram(std::string_view name, std::string_view help,
                            std::span<const double> bounds, std::span<const uint64_t> counts,
                            double sum, Labels labels) {
  add({Kind::kHistogram,
       std::string(name),
       std::string(help),
       std::move(labels),
       sum,
       {bounds.begin(), bounds.end()},
       {counts.begin(), counts.end()}});
}

std::string MetricsPage::prometheus() const {
  std::string out;
  std::string_view last;
  for (const Sample& sample : samples_) {
    if (sample.name != last) {
      constexpr std::string_view kTypes[] = {"gauge", "counter", "histogram"};
      out.append("# HELP ").append(sample.name).append(" ").append(sample.help).append("\n");
      out.append("# TYPE ").append(sample.name).append(" ");
      out.append(kTypes[static_cast<size_t>(sample.kind)]).append("\n");
      last = sample.name;
    }
    if (sample.kind != Kind::kHistogram) {
      append_line(out, sample.name, sample.labels, "", number(sample.value));
      continue;
    }
    uint64_t below = 0;
    for (size_t i = 0; i < sample.counts.size(); i++) {
      below += sample.counts[i];
      append_line(out, sample.name + "_bucket", sample.labels,
                  i < sample.bounds.size() ? number(sample.bounds[i]) : "+Inf",
                  std::to_string(below));
    }
    append_line(out, sample.name + "_sum", sample.labels, "", number(sample.value));
    append_line(out, sample.name + "_count", sample.labels, "", std::to_string(below));
  }
  return out;
}

Json MetricsPage::json(std::string_view timestamp) const {
  JsonArray gauges, counters, histograms;
  for (const Sample& sample : samples_) {
    JsonObject one{{"Name", dotted(sample.name)}, {"Labels", labels_json(sample.labels)}};
    if (sample.kind == Kind::kGauge) {
      one.set("Value", real(sample.value));
      gauges.emplace_back(std::move(one));
      continue;
    }
    uint64_t count = 0;
    for (const uint64_t bucket : sample.counts) count += bucket;
    if (sample.kind == Kind::kCounter) count = static_cast<uint64_t>(sample.value);
    one.set("Count", count);
    one.set("Sum", real(sample.value));
    if (sample.kind == Kind::kCounter) {
      counters.emplace_back(std::move(one));
    } else {
      one.set("Mean", real(count == 0 ? 0 : sample.value / static_cast<double>(count)));
      histograms.emplace_back(std::move(one));
    }
  }
  return JsonObject{{"Timestamp", std::string(timestamp)},
                    {"Gauges", std::move(gauges)},
                    {"Points", JsonArray{}},
                    {"Counters", std::move(counters)},
                    {"Samples", std::move(histograms)}};
}

void TimeHistogram::add_to(std::span<uint64_t> counts, uint64_t& sum_us) const {
  for (size_t i = 0; i <= kBuckets; i++) counts[i] += counts_[i].load(std::memory_order_relaxed);
  sum_us += sum_us_.load(std::memory_order_relaxed);
}

std::array<double, TimeHistogram::kBuckets> TimeHistogram::bounds_s() {
  std::array<double, kBuckets> bounds{};
  for (size_t i = 0; i < kBuckets; i++) {
    bounds[i] = static_cast<double>(kFirstBoundUs << i) / 1e6;
  }
  return bounds;
}

}  // namespace rekey::base
