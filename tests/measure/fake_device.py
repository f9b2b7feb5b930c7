"""A simulated device with a clock of its own: a queue, a launch latency, and an LRU cache."""

from itertools import count

from linbench.measure.trace import Activity

LAUNCH_S = 5e-6
SPIN_HZ = 2e9
FLUSH_S = 50e-6
HIT_S_PER_BYTE = 1e-12
MISS_S_PER_BYTE = 4e-12


class NotReached(Exception):
    """An event was read before the host could know that the device had reached it."""


class FakeDevice:
    """Runs kernels in order; the clocks of host and device diverge until they are synchronised."""

    def __init__(self, l2_bytes=1000):
        self.l2_bytes = l2_bytes
        self.now_s = 0.0  # the host's clock
        self.free_s = 0.0  # the time at which the queue will be empty
        self.log = []
        self.cached = {}  # bytes of each buffer in cache, least recently used first
        self._captured = None
        self._traced = None
        self._correlations = count(1)

    def clock_ns(self):
        """Read the host's clock."""
        return round(self.now_s * 1e9)

    def kernel(self, name, buffer, bytes_):
        """Queue a kernel that reads a buffer; it is slower if the buffer is not in cache."""
        self._queue(
            name, lambda: bytes_ * (HIT_S_PER_BYTE if self._touch(buffer, bytes_) else MISS_S_PER_BYTE)
        )

    def busy(self, seconds):
        self._queue("busy", lambda: seconds)

    def think(self, seconds):
        """Spend host time."""
        self.now_s += seconds

    def flush(self):
        self._queue("flush", lambda: FLUSH_S + self._touch("flush", 2 * self.l2_bytes))

    def spin(self, cycles):
        self._queue("spin_kernel", lambda: cycles / SPIN_HZ)

    def record(self):
        self._queue("event", lambda: 0.0)
        return self.free_s

    def elapsed_s(self, start, end):
        if max(start, end) > self.now_s:
            raise NotReached
        return end - start

    def synchronize(self):
        if self._captured is not None:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.log.append("synchronize")
        self.now_s = max(self.now_s, self.free_s)

    def capture(self, body):
        body()
        self.synchronize()
        self._captured = []
        try:
            returned = body()
        finally:
            captured, self._captured = self._captured, None
        return (lambda: self._replay(captured)), returned

    def trace(self, body):
        self._traced = []
        body()
        self.synchronize()
        traced, self._traced = self._traced, None
        return traced

    def _replay(self, captured):
        self.log.append("replay")
        self.now_s += LAUNCH_S
        for name, cost in captured:
            self._run(name, cost)

    def _queue(self, name, cost):
        if self._captured is not None:
            self._captured.append((name, cost))
            return
        self.now_s += LAUNCH_S
        self.log.append(name)
        self._run(name, cost)

    def _run(self, name, cost):
        start_s = max(self.free_s, self.now_s)
        duration_s = cost()
        self.free_s = start_s + duration_s
        if self._traced is not None and name != "event":
            number = next(self._correlations)
            self._traced.append(Activity(name, round(start_s * 1e9), round(duration_s * 1e9), number))

    def _touch(self, buffer, bytes_):
        """Return whether a whole buffer is in cache, and make it the most recently used."""
        hit = self.cached.pop(buffer, 0) >= bytes_
        self.cached[buffer] = bytes_
        while sum(self.cached.values()) > self.l2_bytes:
            oldest = next(iter(self.cached))
            excess = sum(self.cached.values()) - self.l2_bytes
            self.cached[oldest] -= min(excess, self.cached[oldest])
            if not self.cached[oldest]:
                del self.cached[oldest]
        return hit


class FakeCall:
    """A call of one kernel that reads its input and updates its state, if any."""

    buffers = count()

    def __init__(self, device, input_bytes=100, advances=False, log=None):
        self.device, self.input_bytes, self.advances = device, input_bytes, advances
        self.buffer = next(self.buffers)
        self.log = [] if log is None else log

    def prepare(self):
        self.log.append(("prepare", self.buffer))

    def __call__(self):
        self.device.kernel("kernel", self.buffer, self.input_bytes)
        return f"o{self.buffer}"

    def rotated(self, n):
        return [FakeCall(self.device, self.input_bytes, self.advances, self.log) for _ in range(n)]

    def spoil(self, returned):
        self.device.log.append(f"spoil {returned}")
