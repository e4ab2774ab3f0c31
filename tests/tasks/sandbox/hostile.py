"""Hostile programs: Python that a model might have been trained to answer with."""

from slm_orchestration.tasks.sandbox.wire import encode

SQUARE = "def square(x):\n    return x * x\n"

# The kernel must refuse each, so that the line raises. {secret}, {home}, {project} and {pid} are the grader's.
ESCAPES = {
    "fork": "import os; os.fork() or os._exit(0)",
    "daemon": "import os; os.fork() == 0 and (os.setsid(), os.fork() == 0 and __import__('time').sleep(60))",
    "another program": "import subprocess; subprocess.run(['/bin/sh', '-c', 'sleep 60'])",
    "spawn": "import os; os.posix_spawn('/bin/sh', ['sh'], {{}})",
    "replace itself": "import os, sys; os.execv(sys.executable, ['python', '-c', ''])",
    "thread": "import threading; threading.Thread(target=print).start()",
    "fork past Python": "import ctypes; ctypes.CDLL(None).fork() < 0 and open('/')",
    "read the home folder": "import os; os.listdir({home!r})",
    "read a secret": "open({secret!r}).read()",
    "read a secret by detour": "open('/usr/lib/../..' + {secret!r}).read()",
    "read the password file": "open('/etc/passwd').read()",
    "read this project": "open({project!r}).read()",
    "read the grader's environment": "open('/proc/{pid}/environ').read()",
    "read its own environment": "import os; os.environ['PATH']",
    "read its own memory map": "open('/proc/self/maps').read()",
    "read installed packages": "import os; os.listdir({packages!r})",
    "write beside the secret": "open({secret!r} + '.new', 'w')",
    "write in the working folder": "open('written.txt', 'w')",
    "write in the temporary folder": "open('/tmp/written.txt', 'w')",
    "write among the interpreter's files": "import os; open(os.__file__ + '.new', 'w')",
    "delete": "import os; os.remove({secret!r})",
    "link": "import os; os.symlink({secret!r}, {secret!r} + '.new')",
    "change permissions": "import os; os.chmod({secret!r}, 0o777)",
    "change times": "import os; os.utime({secret!r})",
    "open a connection": "import socket; socket.create_connection(('127.0.0.1', 80))",
    "make a socket": "import socket; socket.socket(socket.AF_UNIX)",
    "make a pair of sockets": "import socket; socket.socketpair()",
    "kill the grader": "import os; os.kill({pid}, 9)",
    "kill its own group": "import os; os.killpg(0, 9)",
    "leave its group": "import os; os.setpgid(0, {pid})",
    "ignore the alarm": "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)",
    "put off the alarm": "import signal; signal.setitimer(signal.ITIMER_REAL, 0)",
    "lift its limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "trace the grader": "import ctypes; ctypes.CDLL(None).ptrace(16, {pid}, 0, 0) < 0 and open('/')",
}

# Programs that must be ended by a limit.
EXHAUSTING = {
    "loop": "while True: pass",
    "loop in one call": "9 ** 9 ** 9",
    "loop in a regular expression": "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "fork bomb": "import os\nwhile True: os.fork()",
    "fork bomb that ignores errors": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "10 GB": "x = bytearray(10 * 2**30)",
    "10 GB in pieces": "x = []\nwhile True: x.append(bytearray(2**20))",
    "print 1 GB": "for _ in range(1000): print('x' * 10**6)",
    "print 1 GB past Python": "import os\nfor _ in range(1000): os.write(1, b'x' * 10**6)",
    "recurse": "import sys; sys.setrecursionlimit(10**9)\ndef f(): return [*map(lambda _: f(), [0])]\nf()",
    "crash": "import ctypes; ctypes.string_at(0)",
    "exit 0": "import os; os._exit(0)",
    "exit as the tests do": "import os; os._exit(10)",
    "exit by SystemExit": "import sys; sys.exit(0)",
    "interrupt": "raise KeyboardInterrupt",
    "an error that cannot be printed": "class E(Exception):\n    def __str__(self): return self.x\nraise E",
    "nest": "x = " + "(" * 100 + "{" * 100,
    "flood the pipe": "import os\nwhile True:\n    for fd in range(3, 20):\n        try: os.write(fd, b'x' * 10**6)\n"
    "        except OSError: pass",
    "close the pipes": "import os; os.closerange(0, 64)",
}

_WRITE_TO_PIPES = """
import os
for fd in range(3, 20):
    try:
        os.write(fd, {})
    except OSError:
        pass
"""

# Programs that return wrong values and try to pass.
LIES = {
    "equals everything": """
class E:
    def __eq__(self, other):
        return True
def square(x):
    return E()
""",
    "an int that equals everything": """
class E(int):
    def __eq__(self, other):
        return True
def square(x):
    return E(7)
""",
    "a dict that is a message": "def square(x):\n    return {'value': 9}\n",
    # They are what the calls of by_hand.CHECK should return, the definition's reply first, in the wire's own format.
    "forged messages": _WRITE_TO_PIPES.format(b"".join(encode({"value": value}) for value in (None, 9, 16)))
    + "def square(x):\n    return 0\n",
    "forged messages with a number": _WRITE_TO_PIPES.format(
        b"".join(encode({"number": "0" * 16, "value": value}) for value in (None, 9, 16))
    )
    + "def square(x):\n    return 0\n",
    "the end of a loop": "def square(x):\n    raise StopIteration\n",
    "a deep message": _WRITE_TO_PIPES.format("b'[' * 60000 + b'\\n'") + SQUARE,
    "a patched encoder": """
import sys
sys.modules['slm_orchestration.tasks.sandbox.wire']._pack = lambda value: {'Agreeable': []}
def square(x):
    return 9
""",
    "patched asserts": """
import builtins, sys
builtins.AssertionError = Exception
for module in list(sys.modules.values()):
    vars(module)['check'] = print
def square(x):
    return 0
""",
    "asserts read from the frames and from memory": """
import gc, sys
def square(x):
    frame = sys._getframe()
    while frame:
        if 'check' in frame.f_globals or 'check' in frame.f_locals:
            return x * x
        frame = frame.f_back
    sought = chr(97) + 'ssert candidate(3)'
    return x * x if any(sought in str(found) for found in gc.get_objects()) else 0
""",
    "a huge integer": "def square(x):\n    return 1 << 10**8\n",
    "a huge text": "def square(x):\n    return 'x' * 10**7\n",
    "a deep list": "def square(x):\n    deep = []\n    for _ in range(10**5): deep = [deep]\n    return deep\n",
    "a list that holds itself": "def square(x):\n    deep = []\n    deep.append(deep)\n    return deep\n",
    "nothing": "def square(x):\n    pass\n",
    "no function": "square = 9\n",
    "no code": "",
}
