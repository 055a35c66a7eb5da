"""The rows of a store's file as somebody sees them who has the disk: read, written and deleted with
liblmdb itself, past the server. Also while one runs: LMDB's locks are for that."""
import ctypes

FIRST, NEXT = 0, 8
NOTFOUND = -30798

class Val(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]

    @classmethod
    def of(cls, text):
        value = cls(len(text), ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p))
        value.kept = text
        return value

    def bytes(self):
        return ctypes.string_at(self.data, self.size)

lmdb = ctypes.CDLL("liblmdb.so.0")
lmdb.mdb_strerror.restype = ctypes.c_char_p
lmdb.mdb_env_set_mapsize.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
for _name in ("mdb_env_set_maxdbs", "mdb_env_set_maxreaders"):
    getattr(lmdb, _name).argtypes = [ctypes.c_void_p, ctypes.c_uint]
lmdb.mdb_env_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint]
lmdb.mdb_env_close.argtypes = [ctypes.c_void_p]
lmdb.mdb_txn_begin.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p]
lmdb.mdb_txn_commit.argtypes = lmdb.mdb_txn_abort.argtypes = [ctypes.c_void_p]
lmdb.mdb_dbi_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_void_p]
lmdb.mdb_put.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
                         ctypes.c_uint]
lmdb.mdb_del.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
lmdb.mdb_cursor_open.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p]
lmdb.mdb_cursor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
lmdb.mdb_cursor_close.argtypes = [ctypes.c_void_p]

def check(code):
    if code != 0:
        raise OSError(lmdb.mdb_strerror(code).decode())

class Rows:
    """`with Rows(folder) as rows:` one transaction on the rows of the store there."""

    def __init__(self, folder, map_bytes=64 << 30):
        self.folder, self.map_bytes = folder, map_bytes

    def __enter__(self):
        self.env, self.txn, dbi = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
        check(lmdb.mdb_env_create(ctypes.byref(self.env)))
        lmdb.mdb_env_set_mapsize(self.env, self.map_bytes)
        lmdb.mdb_env_set_maxdbs(self.env, 2)
        lmdb.mdb_env_set_maxreaders(self.env, 1024)
        check(lmdb.mdb_env_open(self.env, self.folder.encode(), 0, 0o600))
        check(lmdb.mdb_txn_begin(self.env, None, 0, ctypes.byref(self.txn)))
        check(lmdb.mdb_dbi_open(self.txn, b"rows", 0, ctypes.byref(dbi)))
        self.dbi = dbi.value
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            check(lmdb.mdb_txn_commit(self.txn))
        else:
            lmdb.mdb_txn_abort(self.txn)
        lmdb.mdb_env_close(self.env)

    def all(self):
        cursor, key, value, found = ctypes.c_void_p(), Val(), Val(), {}
        check(lmdb.mdb_cursor_open(self.txn, self.dbi, ctypes.byref(cursor)))
        code = lmdb.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(value), FIRST)
        while code == 0:
            found[key.bytes()] = value.bytes()
            code = lmdb.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(value), NEXT)
        lmdb.mdb_cursor_close(cursor)
        if code != NOTFOUND:
            check(code)
        return found

    def set(self, key, value):
        """The row as it stands in the file, its revision included; None takes it away."""
        name = Val.of(key)
        if value is None:
            check(lmdb.mdb_del(self.txn, self.dbi, ctypes.byref(name), None))
        else:
            row = Val.of(value)
            check(lmdb.mdb_put(self.txn, self.dbi, ctypes.byref(name), ctypes.byref(row), 0))

def read(folder):
    with Rows(folder) as rows:
        return rows.all()

def write(folder, changes):
    with Rows(folder) as rows:
        for key, value in changes.items():
            rows.set(key, value)
