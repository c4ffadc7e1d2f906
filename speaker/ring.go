package speaker

import "sync"

// How much of a source is kept decoded, in frames.
const (
	lookAhead  = SampleRate * 3 / 2   // decoded beyond the foremost reader
	history    = SampleRate / 10      // kept behind the hindmost one, so that a flush can rewind
	maxHistory = SampleRate * 12 / 10 // a reader further back than this is not waited for
	smallRing  = 1 << 17              // 2.7 s, for sinks with little latency
	largeRing  = 1 << 18              // 5.5 s, for those with much
)

// ring holds the decoded part of a source around what is being heard. Frames
// are named by their number in the source; one decoder writes them, any number
// of readers read them, each where it likes.
type ring struct {
	mu    sync.Mutex
	buf   []float32
	size  int64 // frames in buf, a power of two
	lo    int64 // first frame that was ever written
	hi    int64 // one beyond the last frame written
	floor int64 // frames before it may be overwritten
	front int64 // the foremost reader
	end   int64 // one beyond the source's last frame, -1 while unknown
	err   error // why it ended there, if not in good order

	space chan struct{} // told when there may be room again
}

func newRing(size, from int64) *ring {
	return &ring{
		buf: make([]float32, size*Channels), size: size,
		lo: from, hi: from, floor: from, front: from, end: -1,
		space: make(chan struct{}, 1),
	}
}

// room is how many frames may be written now.
func (r *ring) room() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(r.floor+r.size, r.front+lookAhead) - r.hi
}

// write appends frames; the caller has asked for room.
func (r *ring) write(src []float32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := (r.hi & (r.size - 1)) * Channels
	n := copy(r.buf[at:], src)
	copy(r.buf, src[n:])
	r.hi += int64(len(src) / Channels)
}

// finish says that no frame follows, and why if that is an error.
func (r *ring) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end < 0 {
		r.end, r.err = r.hi, err
	}
}

// read copies frames from the one named on and returns how many there were.
func (r *ring) read(dst []float32, from int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from < max(r.lo, r.hi-r.size) {
		return 0
	}
	n := min(int64(len(dst)/Channels), r.hi-from)
	if n <= 0 {
		return 0
	}
	at := (from & (r.size - 1)) * Channels
	k := int64(copy(dst[:n*Channels], r.buf[at:]))
	copy(dst[k:n*Channels], r.buf)
	return n
}

// extent tells how far the ring is filled and where the source ends, -1 if not known yet.
func (r *ring) extent() (hi, end int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hi, r.end, r.err
}

// keep moves what is kept: nothing before floor, enough beyond front.
func (r *ring) keep(floor, front int64) {
	r.mu.Lock()
	r.floor = max(r.floor, floor)
	r.front = front
	free := min(r.floor+r.size, r.front+lookAhead) - r.hi
	r.mu.Unlock()
	if free >= decodeChunk {
		select {
		case r.space <- struct{}{}:
		default:
		}
	}
}
