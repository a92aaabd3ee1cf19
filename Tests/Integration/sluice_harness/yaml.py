"""Writes a configuration as block-style YAML. Strings are always quoted as JSON strings are, which YAML reads alike."""

import json


def dump(value, indent: int = 0) -> str:
    pad = "  " * indent
    if isinstance(value, dict):
        if not value:
            return pad + "{}\n"
        text = ""
        for key, item in value.items():
            text += f"{pad}{key_text(key)}:"
            text += nested(item, indent)
        return text
    if isinstance(value, (list, tuple)):
        if not value:
            return pad + "[]\n"
        text = ""
        for item in value:
            if isinstance(item, dict) and item:
                inner = dump(item, indent + 1)
                text += f"{pad}- {inner[len(pad) + 2:]}"
            else:
                text += f"{pad}- {scalar(item)}\n"
        return text
    return pad + scalar(value) + "\n"


def nested(item, indent: int) -> str:
    if isinstance(item, (dict, list, tuple)) and item:
        return "\n" + dump(item, indent + 1)
    return " " + scalar(item) + "\n"


def key_text(key) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and not key.isdigit() else json.dumps(key)


def scalar(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key_text(k)}: {scalar(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(scalar(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, (int, float)):
        return str(value)
    plain = str(value)
    # Durations, sizes and such stay plain, as people write them.
    if plain.isalnum() and not plain.isdigit() and plain.lower() not in ("true", "false", "null", "yes", "no", "on", "off", "y",
        "n"):
        return plain
    return json.dumps(plain)
