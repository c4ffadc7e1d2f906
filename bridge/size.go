package bridge

import "fmt"

// maxMessage is how many bytes a payload of the hub may have. The embedded broker
// takes packets of 256 KiB, others are set to that or more; one that gets a larger
// packet ends the connection, and would so again whenever the message is sent again.
const maxMessage = 255 << 10

// maxURL is how many bytes of a URL are shown.
const maxURL = 512

// fitted is the snapshot as it is published: what has no room in a message is left
// out, the playbacks that wait longest yet first.
func (s Status) fitted() []byte {
	for {
		payload := marshal(s)
		if len(payload) <= maxMessage || len(s.Queue)+len(s.Paused) == 0 {
			return payload
		}
		if q, p := len(s.Queue), len(s.Paused); q >= p {
			s.Queue, s.More = s.Queue[:q/2], s.More+q-q/2
		} else {
			s.Paused, s.More = s.Paused[p-p/2:], s.More+p-p/2
		}
	}
}

// fit shortens the list of a result to what has room in a message.
func (r *Result) fit() {
	size := 0
	for i, m := range r.List {
		if size += len(marshal(m)) + 1; size > maxMessage-listRoom {
			r.List = r.List[:i]
			r.Notes = append(r.Notes[:len(r.Notes):len(r.Notes)], fmt.Sprintf("only %d have room in one message; ask for the others with offset", i))
			return
		}
	}
}

// listRoom is for what a result has beside its list.
const listRoom = 16 << 10
