// sys/metrics: counters and histograms, in Prometheus' text form or Vault's JSON.
#include "logical/answer.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Result;
using logical::Context;
using logical::Response;

// What asks for the text form: ?format=prometheus, or Prometheus' own Accept header.
bool wants_text(const Context& context) {
  if (context.fields.text("format") == "prometheus") return true;
  const std::string_view accept = context.request.accept;
  return accept.starts_with("application/openmetrics-text") ||
         accept.find("text/plain;version=0.0.4") != std::string_view::npos ||
         accept.find("text/plain; version=0.0.4") != std::string_view::npos;
}

}  // namespace

void SystemBackend::add_metrics_routes() {
  const auto show = [this](Context& context) -> Result<Response> {
    const std::string_view format = context.fields.text("format");
    if (!format.empty() && format != "prometheus") {
      return logical::bad_request("metric response format \"" + std::string(format) +
                                  "\" unknown: leave it out for JSON, or use prometheus");
    }
    base::MetricsPage page(parts_.metrics_prefix);
    page.gauge("core_unsealed", "1 while unsealed.", parts_.seal_control.sealed() ? 0 : 1);
    if (parts_.metrics) parts_.metrics(page);
    Response response;
    if (wants_text(context)) {
      response.data = page.prometheus();
      response.raw_content_type = "text/plain";
      return response;
    }
    response.data = page.json(base::format_rfc3339(context.clock.wall())).dump();
    response.plain = true;
    return response;
  };
  routes_.add(
      {.pattern = "metrics",
       .fields = {{"format", logical::FieldType::kString, "prometheus, or empty for JSON."}},
       .handlers = {{logical::Operation::kRead, show}},
       .synopsis = "Counters, gauges and latency histograms of this server.",
       .open_for_metrics = true,
       .without_record = true});
}

}  // namespace rekey::system
