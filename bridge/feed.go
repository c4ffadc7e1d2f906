package bridge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Bounds of a feed.
const (
	feedKept   = 512 // messages that a reader which comes back can still get
	feedQueued = 256 // messages that wait for one reader; more, and it is dropped
)

// feed lets readers beside the bus follow what a hub publishes under status and
// event. A reader that does not keep up is dropped, never waited for.
type feed struct {
	boot string

	mu      sync.Mutex
	closed  bool
	last    uint64
	kept    []feedItem // the latest, oldest first
	readers map[chan feedItem]struct{}
}

// feedItem is one message of a feed.
type feedItem struct {
	n       uint64 // counts from 1
	topic   string // below hkw/<hub>/
	payload []byte
}

func newFeed(boot string) *feed {
	return &feed{boot: boot, readers: map[chan feedItem]struct{}{}}
}

// publish hands a message to every reader.
func (f *feed) publish(topic string, payload []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	item := feedItem{f.last, topic, payload}
	if f.kept = append(f.kept, item); len(f.kept) > 2*feedKept {
		f.kept = append([]feedItem(nil), f.kept[len(f.kept)-feedKept:]...)
	}
	for r := range f.readers {
		select {
		case r <- item:
		default:
			delete(f.readers, r)
			close(r)
		}
	}
}

// follow begins to read: what was missed since id, if that is still known, and a
// channel of what comes, closed when the reader is too slow or the hub ends.
func (f *feed) follow(id string) (missed []feedItem, known bool, last uint64, live chan feedItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	live = make(chan feedItem, feedQueued)
	if f.closed {
		close(live)
		return nil, false, f.last, live
	}
	f.readers[live] = struct{}{}
	boot, number, _ := strings.Cut(id, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	if err == nil && boot == f.boot && n <= f.last {
		missing := int(f.last - n)
		if missing <= len(f.kept) && missing <= feedKept {
			return append(missed, f.kept[len(f.kept)-missing:]...), true, f.last, live
		}
	}
	return nil, false, f.last, live
}

// recent gives the latest events and results up to message last, at most n of them,
// oldest first.
func (f *feed) recent(last uint64, n int) []feedItem {
	f.mu.Lock()
	defer f.mu.Unlock()
	var items []feedItem
	for _, item := range slices.Backward(f.kept) {
		if len(items) >= n {
			break
		}
		if item.n <= last && (item.topic == "status/result" || strings.HasPrefix(item.topic, "event/")) {
			items = append(items, item)
		}
	}
	slices.Reverse(items)
	return items
}

// leave ends a reader.
func (f *feed) leave(live chan feedItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.readers[live]; there {
		delete(f.readers, live)
		close(live)
	}
}

// over tells whether the feed was closed.
func (f *feed) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// close ends all readers; there will be no others.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for r := range f.readers {
		delete(f.readers, r)
		close(r)
	}
}

func (f *feed) id(n uint64) string { return fmt.Sprintf("%s.%d", f.boot, n) }
