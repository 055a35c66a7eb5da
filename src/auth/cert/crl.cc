#include "auth/cert/crl.h"

#include <algorithm>

#include "auth/cert/cert.h"
#include "auth/cert/role.h"
#include "base/codec.h"
#include "logical/answer.h"
#include "logical/decoded_rows.h"
#include "logical/named_rows.h"
#include "logical/row.h"

namespace rekey::auth::cert {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

struct Crl final : logical::DecodedRow {
  std::string url;
  crypto::RevocationList list;
};

std::string row_of(std::string_view name) { return "crl/" + std::string(name); }

std::string encode(const Crl& crl) {
  JsonObject row{{"url", crl.url},
                 {"issuer", base::base64_encode(crl.list.issuer_der)},
                 {"indirect", crl.list.indirect},
                 {"serials", Json::strings(crl.list.serials)}};
  if (crl.list.this_update != base::WallTime()) {
    row.set("this_update", base::format_rfc3339(crl.list.this_update));
  }
  if (crl.list.next_update) row.set("next_update", base::format_rfc3339(*crl.list.next_update));
  return Json(std::move(row)).dump();
}

Result<std::shared_ptr<Crl>> decode(std::string_view text) {
  const auto row = Json::parse(text);
  auto issuer = row ? base::base64_decode(row->string_or("issuer", "")) : Result<std::string>("");
  if (!row || !row->is_object() || !issuer) {
    return base::fail(base::ErrorKind::kCorrupt, "a CRL can't be read");
  }
  auto crl = std::make_shared<Crl>();
  crl->url = row->string_or("url", "");
  crl->list.issuer_der = std::move(*issuer);
  crl->list.indirect = logical::flag_at(*row, "indirect");
  crl->list.serials = logical::strings_at(*row, "serials");
  if (auto made = base::parse_rfc3339(row->string_or("this_update", ""))) {
    crl->list.this_update = *made;
  }
  if (auto next = base::parse_rfc3339(row->string_or("next_update", ""))) {
    crl->list.next_update = *next;
  }
  return crl;
}

Result<std::shared_ptr<Crl>> load(Context& context, const std::string& row) {
  auto text = context.storage->get(row);
  if (!text) return forward(text);
  if (!*text) return std::shared_ptr<Crl>();
  return decode(**text);
}

Result<std::shared_ptr<Crl>> find(Context& context, std::string_view name) {
  const std::string row = row_of(name);
  auto revision = context.storage->revision(row);
  if (!revision) return forward(revision);
  if (!*revision || context.decoded == nullptr) return load(context, row);
  const std::string full = context.storage->prefix() + row;
  auto known = std::dynamic_pointer_cast<Crl>(context.decoded->find(full, **revision));
  if (known != nullptr) return known;
  auto loaded = load(context, row);
  if (loaded && *loaded != nullptr) context.decoded->keep(full, **revision, *loaded);
  return loaded;
}

bool names(const crypto::RevocationList& list, const crypto::ChainLink& link) {
  if (!std::ranges::binary_search(list.serials, link.serial)) return false;
  // A list that names other issuers' certificates as well is taken to mean any of this number.
  return list.indirect || crypto::same_x509_name(list.issuer_der, link.issuer_der);
}

std::string name_of(const Context& context) { return base::to_lower(context.fields.text("name")); }

std::unexpected<base::Error> no_such(const std::string& name) {
  return logical::bad_request("no such CRL " + name);
}

Result<Response> list(Context& context) { return logical::list_rows(context, "crl/"); }

Result<Response> read(Context& context) {
  const std::string name = name_of(context);
  if (name.size() > kCrlNameBytesMax) return no_such(name.substr(0, kCrlNameBytesMax));
  auto crl = load(context, row_of(name));
  if (!crl) return forward(crl);
  if (*crl == nullptr) return no_such(name);
  JsonObject serials;
  for (const std::string& serial : (*crl)->list.serials) serials.set(serial, JsonObject());
  JsonObject data{{"serials", std::move(serials)}};
  if (!(*crl)->url.empty()) {
    data.set("cdp", JsonObject{{"url", (*crl)->url}, {"valid_until", "0001-01-01T00:00:00Z"}});
  }
  return logical::with_data(std::move(data));
}

bool is_http_url(std::string_view url) {
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  return scheme != 0 && url.size() > scheme && url[scheme] != '/' && url[scheme] != ':';
}

// What the request brings. A URL is kept for the one who looks, and said not to be asked.
Result<Crl> crl_of(const Context& context, Response& response) {
  Crl crl;
  if (context.fields.has("crl")) {
    auto parsed = crypto::parse_revocation_list(context.fields.text("crl"));
    if (!parsed) {
      return logical::bad_request("failed to parse CRL: " + parsed.error().message());
    }
    crl.list = std::move(*parsed);
    if (crl.list.next_update && *crl.list.next_update < context.clock.wall()) {
      response.warnings.push_back("the CRL was to be replaced by a newer one at " +
                                  base::format_rfc3339(*crl.list.next_update) +
                                  "; what it revokes stays revoked");
    }
    return crl;
  }
  if (!context.fields.has("url")) {
    return logical::bad_request("one of 'crl' or 'url' must be provided");
  }
  crl.url = context.fields.text("url");
  if (crl.url.empty()) return logical::bad_request("empty CRL url");
  if (crl.url.size() > kCrlUrlBytesMax || !is_http_url(crl.url)) {
    return logical::bad_request("invalid CRL url: expected http://host/path or https://host/path");
  }
  response.warnings.push_back(
      "the URL is kept, but this build does not fetch CRLs: nothing more is revoked by it until "
      "the list itself is written here as \"crl\"");
  return crl;
}

// How much the other lists of the mount hold.
Result<size_t> others_bytes(Context& context, std::string_view name) {
  auto all = context.storage->list("crl/", {}, kCrlsMax);
  if (!all) return forward(all);
  size_t bytes = 0;
  for (const std::string& other : *all) {
    if (other == name) continue;
    auto text = context.storage->get(row_of(other));
    if (!text) return forward(text);
    bytes += *text ? (*text)->size() : 0;
  }
  return bytes;
}

Result<Response> write(Context& context) {
  const std::string name = name_of(context);
  if (name.size() > kCrlNameBytesMax) return logical::bad_request("the name is too long");
  Response response;
  auto crl = crl_of(context, response);
  if (!crl) return forward(crl);
  auto known = context.storage->get(row_of(name));
  if (!known) return forward(known);
  if (!*known) {
    auto all = context.storage->list("crl/", {}, kCrlsMax);
    if (!all) return forward(all);
    if (all->size() >= kCrlsMax) return logical::bad_request("too many CRLs in this mount");
  }
  if (*known && !context.fields.has("crl")) {  // an address takes nothing off the list
    auto before = decode(**known);
    if (!before) return forward(before);
    crl->list = std::move((*before)->list);
  }
  std::string row = encode(*crl);
  auto others = others_bytes(context, name);
  if (!others) return forward(others);
  if (*others + row.size() > kCrlBytesTotalMax) {
    return logical::bad_request("the CRLs of this mount are too large together");
  }
  auto put = context.storage->put(row_of(name), std::move(row));
  if (!put) return forward(put);
  return response;
}

Result<Response> erase(Context& context) {
  const std::string name = name_of(context);
  if (name.size() > kCrlNameBytesMax) return no_such(name.substr(0, kCrlNameBytesMax));
  auto known = context.storage->get(row_of(name));
  if (!known) return forward(known);
  if (!*known) return no_such(name);
  auto erased = context.storage->erase(row_of(name));
  if (!erased) return forward(erased);
  return Response{};
}

}  // namespace

Result<bool> is_revoked(Context& context, std::span<const crypto::ChainLink> chain) {
  auto all = context.storage->list("crl/");
  if (!all) return forward(all);
  for (const std::string& name : *all) {
    auto crl = find(context, name);
    if (!crl) return forward(crl);
    if (*crl == nullptr) continue;
    for (const crypto::ChainLink& link : chain) {
      if (names((*crl)->list, link)) return true;
    }
  }
  return false;
}

void CertAuth::add_crl_routes() {
  routes_.add({.pattern = "crls",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the revocation lists."});
  routes_.add({.pattern = "crls/{name}",
               .fields = {{"crl", FieldType::kString, "The list: PEM, or DER in base64."},
                          {"url", FieldType::kString, "Where it is; kept, not fetched."}},
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase}},
               .synopsis = "A list of revoked certificates.",
               .blocking = true});
}

}  // namespace rekey::auth::cert
