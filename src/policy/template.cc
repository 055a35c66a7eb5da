#include "policy/template.h"

#include "policy/pattern.h"

namespace rekey::policy {

namespace {

constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";

using Piece = TemplatePiece;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts the path into literal pieces and templates; false where {{ and }} don't pair.
bool cut(std::string_view path, std::vector<Piece>& pieces) {
  while (!path.empty()) {
    const size_t open = path.find(kOpen);
    const std::string_view literal = path.substr(0, open);
    if (literal.find(kClose) != literal.npos) return false;
    if (!literal.empty()) pieces.push_back({literal, false});
    if (open == path.npos) return true;
    path.remove_prefix(open + kOpen.size());
    const size_t close = path.find(kClose);
    if (close == path.npos) return false;
    const std::string_view inner = path.substr(0, close);
    if (inner.find(kOpen) != inner.npos) return false;
    pieces.push_back({trim(inner), true});
    path.remove_prefix(close + kClose.size());
  }
  return true;
}

bool take(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

const std::string* find_metadata(const TemplateContext::Metadata& metadata, std::string_view key) {
  const auto at = metadata.find(key);
  return at == metadata.end() ? nullptr : &at->second;
}

// The four things of which templates ask. `field` is what stands after the name or id.
enum class Field { kId, kName, kMetadata, kCustomMetadata };
struct Selector {
  enum class Of { kEntity, kAlias, kGroupById, kGroupByName } of = Of::kEntity;
  std::string_view which;  // accessor, group id or group name
  Field field = Field::kId;
  std::string_view key;  // of metadata
};

// "id", "name", "metadata.team" into field and key.
bool read_field(std::string_view text, Selector& out) {
  if (text == "id") return out.field = Field::kId, true;
  if (text == "name") return out.field = Field::kName, true;
  if (take(text, "metadata.")) return out.field = Field::kMetadata, out.key = text, !text.empty();
  if (out.of == Selector::Of::kAlias && take(text, "custom_metadata.")) {
    return out.field = Field::kCustomMetadata, out.key = text, !text.empty();
  }
  return false;
}

// "NAME.id", where NAME may hold dots: the first place from which the rest is a field.
bool read_named(std::string_view text, Selector& out) {
  for (size_t dot = text.find('.'); dot != text.npos; dot = text.find('.', dot + 1)) {
    out.which = text.substr(0, dot);
    if (!out.which.empty() && read_field(text.substr(dot + 1), out)) return true;
  }
  return false;
}

bool read_selector(std::string_view text, Selector& out) {
  using Of = Selector::Of;
  if (take(text, "identity.entity.aliases.")) return out.of = Of::kAlias, read_named(text, out);
  if (take(text, "identity.entity.")) return out.of = Of::kEntity, read_field(text, out);
  if (take(text, "identity.groups.ids.")) return out.of = Of::kGroupById, read_named(text, out);
  if (take(text, "identity.groups.names.")) return out.of = Of::kGroupByName, read_named(text, out);
  return false;
}

template <class Named>
const std::string* field_of(const Named& named, const Selector& selector) {
  if (selector.field == Field::kId) return &named.id;
  if (selector.field == Field::kName) return &named.name;
  return find_metadata(named.metadata, selector.key);
}

const std::string* look_up(const Selector& selector, const TemplateContext& context) {
  switch (selector.of) {
    case Selector::Of::kEntity:
      if (selector.field == Field::kId) return &context.entity_id;
      if (selector.field == Field::kName) return &context.entity_name;
      return find_metadata(context.entity_metadata, selector.key);
    case Selector::Of::kAlias: {
      const auto alias = context.aliases.find(selector.which);
      if (alias == context.aliases.end()) return nullptr;
      if (selector.field == Field::kCustomMetadata) {
        return find_metadata(alias->second.custom_metadata, selector.key);
      }
      return field_of(alias->second, selector);
    }
    case Selector::Of::kGroupById:
    case Selector::Of::kGroupByName:
      for (const TemplateContext::Group& group : context.groups) {
        const bool by_id = selector.of == Selector::Of::kGroupById;
        if ((by_id ? group.id : group.name) == selector.which) return field_of(group, selector);
      }
      return nullptr;
  }
  return nullptr;
}

}  // namespace

std::optional<std::vector<TemplatePiece>> cut_template(std::string_view text) {
  std::vector<Piece> pieces;
  if (!cut(text, pieces)) return std::nullopt;
  return pieces;
}

bool is_template_name(std::string_view name) {
  Selector selector;
  return read_selector(name, selector);
}

const std::string* template_value(std::string_view name, const TemplateContext& context) {
  Selector selector;
  return read_selector(name, selector) ? look_up(selector, context) : nullptr;
}

bool template_balanced(std::string_view path) {
  std::vector<Piece> pieces;
  return cut(path, pieces);
}

bool has_template(std::string_view path) { return path.find(kOpen) != path.npos; }

std::string unknown_template(std::string_view path) {
  std::vector<Piece> pieces;
  if (!cut(path, pieces)) return {};
  for (const Piece& piece : pieces) {
    Selector selector;
    if (piece.is_template && !read_selector(piece.text, selector)) return std::string(piece.text);
  }
  return {};
}

std::expected<std::string, std::string> fill_in(std::string_view path,
                                                const TemplateContext* context) {
  std::vector<Piece> pieces;
  if (!cut(path, pieces)) return std::unexpected("its {{ and }} don't pair");
  if (context == nullptr || context->entity_id.empty()) {
    return std::unexpected("the token has no entity");
  }
  std::string filled;
  std::string neutral;  // the same with a harmless letter for each value
  for (const Piece& piece : pieces) {
    if (!piece.is_template) {
      filled += piece.text, neutral += piece.text;
      continue;
    }
    Selector selector;
    const std::string* value =
        read_selector(piece.text, selector) ? look_up(selector, *context) : nullptr;
    if (value == nullptr || value->empty()) {
      return std::unexpected("{{" + std::string(piece.text) + "}} has no value for this entity");
    }
    filled += *value, neutral += 'x';
  }
  const Pattern meant = Pattern::read(neutral), made = Pattern::read(filled);
  if (meant.prefix != made.prefix || meant.segments != made.segments ||
      filled.find("+*") != filled.npos) {
    return std::unexpected("a value would add a wildcard to the path");
  }
  return filled;
}

}  // namespace rekey::policy
