// sys/storage/backup: a copy of all data, taken while serving.
#include "logical/answer.h"
#include "system/backup_control.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

Result<Response> shown(Result<BackupControl::Status> status) {
  if (!status) return forward(status);
  const char* state = status->state == BackupControl::State::kRunning ? "running"
                      : status->state == BackupControl::State::kDone  ? "done"
                                                                      : "failed";
  base::JsonObject data{{"id", status->id},
                        {"state", state},
                        {"bytes", status->bytes},
                        {"bytes_expected", status->bytes_expected}};
  if (!status->error.empty()) data.set("error", status->error);
  return logical::with_data(std::move(data));
}

}  // namespace

void SystemBackend::add_storage_routes() {
  // Without a control (tests of other things) the routes are there and say so.
  const auto with_control = [this](auto work) {
    return [this, work](Context& context) -> Result<Response> {
      if (parts_.backups == nullptr) {
        return base::fail(base::ErrorKind::kUnsupported, "this server makes no backups");
      }
      return work(*parts_.backups, context);
    };
  };
  const Field id{"id", FieldType::kString, "What starting the backup answered."};
  routes_.add({.pattern = "storage/backup",
               .handlers = {{Operation::kUpdate, with_control([](BackupControl& control, Context&) {
                               return shown(control.start());
                             })}},
               .synopsis = "Starts a backup of all data, encrypted as it is stored.",
               .description = "It is made in the background. When its state is done, its data can "
                              "be fetched until another is started, or for an hour.",
               .sudo = true,
               .blocking = true});
  routes_.add(
      {.pattern = "storage/backup/{id}",
       .fields = {id},
       .handlers = {{Operation::kRead, with_control([](BackupControl& control, Context& context) {
                       return shown(control.status(context.fields.text("id")));
                     })},
                    {Operation::kDelete,
                     with_control([](BackupControl& control, Context& context) -> Result<Response> {
                       control.discard(context.fields.text("id"));
                       return Response{};
                     })}},
       .synopsis = "How far a backup is; deleting it frees its disk.",
       .sudo = true,
       .blocking = true});
  const auto data = [](BackupControl& control, Context& context) -> Result<Response> {
    const int64_t offset = context.fields.integer("offset");
    if (offset < 0) return logical::bad_request("offset must not be negative");
    auto piece = control.read(context.fields.text("id"), static_cast<uint64_t>(offset));
    if (!piece) return forward(piece);
    Response response;
    response.data = std::move(*piece);
    response.raw_content_type = "application/octet-stream";
    return response;
  };
  routes_.add(
      {.pattern = "storage/backup/{id}/data",
       .fields = {id, {"offset", FieldType::kInteger, "Where the piece begins; 0 at first."}},
       .handlers = {{Operation::kRead, with_control(data)}},
       .synopsis = "A piece of a backup, of at most 8 MiB; an empty one is the end.",
       .sudo = true,
       .blocking = true});
}

}  // namespace rekey::system
