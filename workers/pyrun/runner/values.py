"""Values as strict JSON that any reader takes, and as short text."""
import json
import json.decoder
import json.encoder

MAX_REPR = MAX_MESSAGE = 4 << 10
MAX_DEPTH = 200  # of the JSON projection


class TooLarge(Exception):
    """The value's encoding is above the payload limit."""


ATOMS = frozenset((type(None), bool, int, float, str))
QUICK_INT = 1 << 64


def _make_encoder():
    """The C encoder of the json module, made once: json.dumps makes one per call."""
    make, quote = json.encoder.c_make_encoder, json.encoder.c_encode_basestring
    if make is None or quote is None:  # an interpreter without the accelerator
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
    encode = make(None, None, quote, None, ":", ",", False, False, False)
    return lambda value: "".join(encode(value, 0))


# Bound now: what a function does to the json module is its own affair.
encode_native = _make_encoder()
encode_ascii = json.JSONEncoder().encode
decode_json = json.JSONDecoder().decode
scan_json = json.JSONDecoder().scan_once
quote = json.encoder.c_encode_basestring or json.encoder.py_encode_basestring


class Plain:
    """Tells whether a value is exactly what the C encoder makes of it; TooLarge above room bytes or nodes values."""

    def __init__(self, room, nodes):
        self.room, self.nodes = room, nodes

    def check(self, value, depth=MAX_DEPTH):
        kind = type(value)
        if kind in ATOMS:
            return self.atoms((kind,), (value,))
        if depth == 0:
            return False
        if kind is not dict and kind is not list and kind is not tuple:
            return False
        self.charge(len(value) + 1, 2 * len(value) + 1)  # brackets, commas, and a character for each
        if kind is dict:
            kinds = set(map(type, value))
            if not kinds <= {str} or not self.atoms(kinds, value):
                return False
            value = value.values()
        kinds = set(map(type, value))
        if kinds <= ATOMS:
            return self.atoms(kinds, value)
        if kinds & ATOMS and not self.atoms(kinds & ATOMS, [v for v in value if type(v) in ATOMS]):
            return False
        for item in value:
            if type(item) not in ATOMS and not self.check(item, depth - 1):
                return False
        return True

    def atoms(self, kinds, values):
        """Charges the characters of values, whose types are kinds. Integers may have too many digits."""
        if str in kinds:
            self.charge(0, sum(map(len, values if len(kinds) == 1 else [v for v in values if type(v) is str])))
        if int in kinds:
            ints = values if len(kinds) == 1 else [v for v in values if type(v) is int]
            return max(ints, default=0) < QUICK_INT and min(ints, default=0) > -QUICK_INT
        return True

    def charge(self, nodes, room):
        """Room is charged at the least that a value costs in JSON, so that nothing is refused that fits."""
        self.nodes -= nodes
        self.room -= room
        if self.room < 0 or self.nodes < 0:
            raise TooLarge


class Projection:
    """Writes any value as strict JSON: the slow, exact way. It never fails but with TooLarge."""

    def __init__(self, room, nodes):
        self.room, self.nodes, self.parts, self.open = room, nodes, [], set()

    def text(self, value):
        self.write(value, MAX_DEPTH)
        return "".join(self.parts)

    def put(self, text):
        self.room -= len(text)
        if self.room < 0:
            raise TooLarge
        self.parts.append(text)

    def write(self, value, depth):
        self.nodes -= 1
        if self.nodes < 0:
            raise TooLarge
        if value is None or value is True or value is False:
            self.put({None: "null", True: "true", False: "false"}[value])
        elif isinstance(value, str):
            self.string(str.__str__(value))
        elif isinstance(value, int):
            value = int.__int__(value)
            if -QUICK_INT < value < QUICK_INT or value.bit_length() < 8192:
                self.put(int.__repr__(value))
            else:  # above the interpreter's limit on digits, or nearly: hex has none
                self.repr(clip(hex(value), MAX_REPR) if value.bit_length() < 1 << 20 else "<int of %d bits>" % value.bit_length())
        elif isinstance(value, float):
            value = float.__float__(value)
            if value - value == 0:
                self.put(float.__repr__(value))
            else:
                self.put('{"$float":"%s"}' % float.__repr__(value))
        elif isinstance(value, (list, tuple, dict, set, frozenset)):
            self.container(value, depth)
        elif isinstance(value, (bytes, bytearray)):
            import base64
            if memoryview(value).nbytes > self.room:
                raise TooLarge
            self.put('{"$bytes":"%s"}' % base64.b64encode(value).decode())
        else:
            self.other(value)

    def string(self, value):
        if len(value) > self.room:
            raise TooLarge
        try:
            value.encode()
            self.put(quote(value))
        except UnicodeEncodeError:  # a lone surrogate is no text
            self.repr(repr(value))

    def repr(self, text):
        self.put('{"$repr":%s}' % quote(clip(text, MAX_REPR)))

    def container(self, value, depth):
        if id(value) in self.open or depth == 0:
            self.repr("{...}" if isinstance(value, dict) else "[...]")
            return
        self.open.add(id(value))
        depth -= 1
        if isinstance(value, dict):
            items = list(dict.items(value))
            if all(isinstance(key, str) and encodes(key) for key, _ in items):
                self.sequence("{", items, "}", lambda item: (self.string(str.__str__(item[0])), self.put(":"), self.write(item[1], depth)))
            else:
                self.sequence('{"$map":[', items, "]}", lambda item: self.sequence("[", item, "]", lambda part: self.write(part, depth)))
        elif isinstance(value, (set, frozenset)):
            self.sequence('{"$set":[', sorted_if_possible(members(value)), "]}", lambda item: self.write(item, depth))
        else:
            self.sequence("[", members(value), "]", lambda item: self.write(item, depth))
        self.open.discard(id(value))

    def sequence(self, begin, items, end, write):
        self.put(begin)
        for index, item in enumerate(items):
            if index:
                self.put(",")
            write(item)
        self.put(end)

    def other(self, value):
        import datetime
        if isinstance(value, (datetime.date, datetime.time)):  # a datetime is a date
            try:
                self.string(str(value.isoformat()))
                return
            except TooLarge:
                raise
            except Exception:
                pass
        self.repr(safe_repr(value))


def encodes(text):
    try:
        str.encode(text)
        return True
    except UnicodeEncodeError:
        return False


def members(value):
    """What a list, tuple or set holds, whatever its class says."""
    base = next(kind for kind in (list, tuple, set, frozenset) if isinstance(value, kind))
    return [*base.__iter__(value)]


def sorted_if_possible(values):
    """Sets have no order: give the same one for the same set where their members have one."""
    try:
        return sorted(values)
    except BaseException:
        return values


CONSTANTS = {None: b"null", True: b"true", False: b"false"}


def project(value, room, nodes=1 << 62):
    """Returns value as strict JSON in UTF-8; TooLarge above room bytes or nodes values."""
    kind = type(value)  # the commonest values first, as the encoder would write them
    if kind is int and -QUICK_INT < value < QUICK_INT and room >= 32:
        return b"%d" % value
    if (value is None or kind is bool) and room >= 32:
        return CONSTANTS[value]
    try:
        if Plain(room, nodes).check(value):
            encoded = encode_native(value).encode()
            if len(encoded) <= room:
                return encoded
            raise TooLarge
    except (ValueError, RecursionError):  # not a number, a lone surrogate, too deep
        pass
    try:
        encoded = Projection(room, nodes).text(value).encode()
        if len(encoded) <= room:
            return encoded
    except TooLarge:
        raise
    except BaseException:  # a value whose own methods raise
        return ('{"$repr":%s}' % quote(safe_repr(value))).encode()
    raise TooLarge


def clip(text, limit):
    """Shortens text to limit bytes of UTF-8; lone surrogates are escaped, so that it always encodes."""
    data = text[:limit + 1].encode("utf-8", "backslashreplace")
    if len(data) <= limit and len(text) <= limit:
        return data.decode()
    return data[:limit - 3].decode("utf-8", "ignore") + "\u2026"


def safe_repr(value):
    """At most 4 KiB of repr(value), whatever its class does, without building a huge one for a builtin."""
    try:
        kind = type(value)
        if kind is int and -QUICK_INT < value < QUICK_INT:
            return repr(value)
        if kind in (str, bytes, bytearray):
            return clip(repr(value[:MAX_REPR]), MAX_REPR) if len(value) > MAX_REPR else clip(repr(value), MAX_REPR)
        if kind in (list, tuple, dict, set, frozenset):
            return clip(_brief(value, MAX_REPR, 8)[0], MAX_REPR)
        if kind is int and value.bit_length() > 8192:
            return "<int of %d bits>" % value.bit_length()
        text = repr(value)
        return clip(text, MAX_REPR) if len(text) > 1000 or not text.isascii() else text
    except BaseException as error:  # also what a hostile __repr__ raises
        return "<%s: its repr failed: %s>" % (type(value).__name__, type(error).__name__)


def _brief(value, room, depth):
    """repr of a builtin container that stops once it has filled room. Returns it and the room left."""
    kind = type(value)
    if kind not in (list, tuple, dict, set, frozenset):
        text = safe_repr(value)
        return text, room - len(text)
    begin, end = {list: "[]", tuple: "()", dict: "{}", set: "{}"}.get(kind, ("frozenset({", "})"))
    if not value:
        return repr(value), room - 2
    if depth == 0:
        return begin + "..." + end, room - 5
    parts = []
    for item in value:
        if room <= 0:
            parts.append("...")
            break
        text, room = _brief(item, room, depth - 1)
        if kind is dict:
            more, room = _brief(value[item], room, depth - 1)
            text += ": " + more
        parts.append(text)
        room -= 2
    if kind is tuple and len(parts) == 1:
        end = ",)"
    return begin + ", ".join(parts) + end, room
