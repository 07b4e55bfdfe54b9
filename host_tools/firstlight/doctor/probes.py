"""What a board is told to run to tell of itself: Python for MicroPython, as texts; pure.

None writes, and none prints a secret: of a key comes a signature over a constant, which is hashed
once more here (keys.py), or a token of five minutes for DPS, which is kept in memory; of a
certificate's key nothing but what TLS says on the wire (relay.py).
"""

# Where firmware/wake.py reads it: the file that was injected, or what was flashed with the rest.
_STORED = """\
import json, os
def _stored():
    try:
        with open('/identity.json', 'rb') as f:
            return f.read(min(os.stat('/identity.json')[6], 8193))
    except OSError:
        import board
        return board.load('identity')
"""

IDENTITY = (
    _STORED
    + """\
def _who():
    from aziot import identity
    from aziot.errors import IdentityError
    raw = _stored()
    if raw is None:
        return {'wrong': 'none'}
    try:
        me = identity.load(raw)
    except IdentityError as e:
        return {'wrong': str(e)}
    raw = None
    keys = me['symmetric_key'] or {}
    x509 = me.get('x509')
    marks = {}
    for n in keys:
        from binascii import a2b_base64, hexlify
        from aziot import sas
        marks[n] = hexlify(sas.hmac_sha256(a2b_base64(keys[n]), %r)).decode()
    told = {'networks': [w['ssid'] for w in me['wifi']], 'ethernet': bool(me['ethernet'])}
    for n in ('id_scope', 'registration_id', 'endpoint', 'https_port'):
        told[n] = me[n]
    told['marks'] = marks
    told['x509'], told['csr'] = bool(x509), bool(x509 and x509.get('csr'))
    return told
print(json.dumps(_who()))
"""
)

CHAIN = """\
def _chain():
    import board, certificate
    for one in certificate.section(board)['chain'][:4]:
        print(one[:4096])
_chain()
"""

# The globals of main.py outlive its interruption: what it was doing is there to be read.
LIFE = """\
import json
def _life():
    from aziot import record
    told = {}
    try:
        import board
        kept = record.unpack(board.recall()) or {}
        told = {n: kept[n] for n in ('phase', 'boots') if n in kept}
        told['before'] = kept.get('error')
    except (ImportError, OSError, AttributeError):
        pass
    d = globals().get('device')
    if d is None:
        return told
    for n in ('phase', 'error', 'reset', 'sent', 'dropped', 'up_s'):
        told[n] = getattr(d, n, None)
    story = (getattr(d, 'reports', None) or {}).get('firstlight') or {}
    told['boots'] = story.get('boots')
    told['before'] = story.get('error')
    w = getattr(d, 'work', None)
    if w:
        told['waiting'] = len(d.outbox)
        told['dropped'] = d.outbox.dropped
        told['app'] = type(w.fault).__name__ if w.fault else ''
    return told
print(json.dumps(_life()))
"""

STORE = """\
import json, sys
def _store():
    import board
    from aziot import record
    load = board.load
    kept = record.unpack(load('assignment')) or {}
    roots = record.unpack(load('roots')) or {}
    cert = record.unpack(load('cert')) or {}
    stored, most = 0, 256
    if 'app' in sys.modules:  # hire.py's bound
        most = getattr(sys.modules['app'], 'OUTBOX', 16)
    for n in range(most if type(most) is int and 0 < most <= 256 else 16):
        raw = load('o%d' % n)
        stored += bool(raw) and len(raw) > 16
    return {'assignment': kept, 'roots': roots, 'cert': cert, 'stored': stored}
print(json.dumps(_store()))
"""

# What ran is not needed any more, and what follows is to be loaded as it lies on the flash. But
# board stays: it keeps an RP2's watchdog fed (firmware/picopower.py).
ROOM = """\
import gc, sys
globals().pop('device', None)
for _m in list(sys.modules):
    if _m.partition('.')[0] in (
        'aziot', 'certificate', 'clock', 'device', 'hire', 'notes', 'outbox', 'register',
        'remote', 'serve', 'status', 'trust', 'umqtt', 'verdict', 'wake', 'wifi', 'work',
    ):
        del sys.modules[_m]
for _m in ('_stored', '_who', '_chain', '_life', '_store', '_roots', '_air', '_join', '_token'):
    globals().pop(_m, None)
gc.collect()
"""

# A littlefs that is full may count more blocks in use than it has: free is then below nothing.
FREE = """\
import os
_s = os.statvfs('/')
print(_s[0] * _s[3] if _s[3] <= _s[2] else 0)
"""

CLOCK = """\
import time
print(int(time.time()) + (946684800 if time.gmtime(0)[0] == 2000 else 0))
"""

ROOTS = """\
import os
def _roots(folder):
    from binascii import b2a_base64
    try:
        names = [n for n in os.listdir(folder) if n.endswith('.der')]
    except OSError:
        names = []
    for n in names[:8]:
        with open(folder + '/' + n, 'rb') as f:
            print(n[:64], b2a_base64(f.read(4097)).decode().strip())
_roots(%r)
"""

AIR = """\
import json
def _air(wanted):
    import network, time
    radio = network.WLAN(network.STA_IF)
    radio.active(True)
    address = radio.ifconfig()[0] if radio.isconnected() else '0.0.0.0'
    if address == '0.0.0.0':
        address = ''
        radio.disconnect()
        time.sleep_ms(200)
    heard, others = {}, 0
    for f in radio.scan():
        name = bytes(f[0])
        if name in wanted:
            heard[name.decode()] = max(f[3], heard.get(name.decode(), -999))
        else:
            others += 1
    return {'signals': heard, 'others': others, 'address': address}
print(json.dumps(_air(%r)))
"""

# The board's own wifi.py, on what is enough of a device for it.
JOIN = (
    _STORED
    + """\
def _join():
    import sys, time
    from aziot import identity
    class Lab:
        clock, plan, nic, said = time, {'radio': False}, None, ''
        def say(self, step, text):
            self.said = text
    lab = Lab()
    lab.me = identity.load(_stored())
    try:
        __import__('wifi').run(lab)
    except OSError as e:
        return {'refused': str(e)}
    return {'address': lab.nic.ifconfig()[0]}
print(json.dumps(_join()))
"""
)

SIGNED = (
    _STORED
    + """\
def _token(which, expires_at):
    from aziot import identity, sas
    me = identity.load(_stored())
    at = '%%s/registrations/%%s' %% (me['id_scope'], me['registration_id'])
    print(sas.token(at, me['symmetric_key'][which], expires_at, 'registration'))
_token(%r, %d)
"""
)

# The board's own TLS over a stream that relay.py fills and empties: one HTTPS request, certificate
# number N of its own shown (0: the factory's). Two lines a step: what it says to the wire, what it
# heard through TLS; and a third if it gave up. It judges the server over roots, or else over its
# own. now_at: the time to judge by, where its clock is off; 0: its clock's. WIRED goes before.
RELAY = """\
_moved_s = 0
def _begin(number, roots, host, request, now_at):
    global _moved_s
    import gc, ssl, sys, board, certificate
    from binascii import a2b_base64
    if now_at:
        _moved_s = now_at - board.unix_time()
        board.set_unix_time(now_at)
    if roots:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_REQUIRED
        for root in roots:
            context.load_verify_locations(cadata=a2b_base64(root))
    else:
        import trust
        context = trust.context(board, False)[0]
        del sys.modules['trust'], trust
    roots = None
    gc.collect()
    certificate.load(context, certificate.section(board), number)
    gc.collect()
    tls, came, said = _wired(context, host)
    heard = bytearray()
    def step(text):
        nonlocal request
        trouble = ''
        came.extend(a2b_base64(text))
        try:
            if request:
                request = request[tls.write(request) or 0:]
            while not request:
                piece = tls.read(512)
                if not piece:
                    break
                heard.extend(piece)
        except (OSError, ValueError) as e:
            trouble = (type(e).__name__ + ' ' + str(e)).replace('\\n', ' ')
        _tell(said)
        _tell(heard)
        print(trouble)
    return step
_step = _begin(%r, %r, %r, %r, %r)
_step('')
"""
RELAYED = "_step('%s')"
RELAY_END = """\
_step = _begin = _wired = _tell = None
import gc
gc.collect()
if globals().get('_moved_s'):
    import board
    board.set_unix_time(board.unix_time() - _moved_s)
    _moved_s = 0
"""
