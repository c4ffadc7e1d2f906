package session

import (
	"fmt"
	"slices"
	"time"
)

// session is somebody who commands.
type session struct {
	token, ref string
	seq        uint64
	implicit   bool // opened by a play for itself
	priority   int
	selection  selection
	playbacks  []*playback // by arrival

	live  int       // playbacks that stop the clock
	until time.Time // when it expires; zero while the clock stands still
	clock timer
	ended bool

	state    PlayerState
	played   bool        // something of it was heard
	dirty    bool        // stands in Core.dirty
	shown    SessionView // as last published
	shownAt  time.Time
	postpone timer // to publish a new expiry
}

// priorityOf is the priority with which a command is judged: its own, else its
// session's, else the default.
func priorityOf(r Request, s *session) int {
	switch {
	case r.Priority != nil:
		return *r.Priority
	case s != nil:
		return s.priority
	}
	return DefaultPriority
}

// enter is how every command of a client comes in: its session is looked up
// before anything else is judged, a malformed command is refused, and every
// well-formed one, whatever becomes of it, renews its session. problem names
// what is malformed, if anything is.
func (c *Core) enter(r Request, problem string) (*session, bool) {
	var s *session
	if r.Session != "" {
		if s = c.sessions[r.Session]; s == nil {
			c.refuse(r, nil, SessionNotFound, "the session is unknown, closed or expired")
			return nil, false
		}
	}
	if problem == "" && r.Priority != nil && (*r.Priority < MinPriority || *r.Priority > MaxPriority) {
		problem = fmt.Sprintf("priority must be %d to %d", MinPriority, MaxPriority)
	}
	if problem != "" {
		c.refuse(r, s, InvalidCommand, problem)
		return nil, false
	}
	if s != nil {
		c.wind(s)
		for _, p := range s.playbacks {
			if p.phase == PhasePaused {
				p.abandoned = c.now.Add(c.cfg.Timeout)
				c.retime(p)
			}
		}
	}
	return s, true
}

// refuse answers a command that was judged and lost.
func (c *Core) refuse(r Request, s *session, code Code, message string) {
	res := Result{ID: r.ID, Outcome: OutcomeRejected, Code: code, Message: message, Priority: priorityOf(r, s)}
	if s != nil {
		res.Ref = s.ref
	}
	c.results = append(c.results, res)
}

// outranked answers a command that would have touched what stands above it.
func (c *Core) outranked(r Request, s *session, priority int, by *playback) {
	v := c.viewPlayback(by)
	res := Result{ID: r.ID, Outcome: OutcomeRejected, Code: PriorityTooLow, Priority: priority, Current: &v,
		Message: fmt.Sprintf("priority %d is below %d of playback %s", priority, by.priority, by.id)}
	if s != nil {
		res.Ref = s.ref
	}
	c.results = append(c.results, res)
}

// done answers a command that was carried out.
func (c *Core) done(r Request, s *session, res Result) {
	res.ID, res.Outcome, res.Priority = r.ID, OutcomeDone, priorityOf(r, s)
	if s != nil && res.Ref == "" {
		res.Ref = s.ref
	}
	c.results = append(c.results, res)
}

// addSession makes room for a session; its clock runs from now.
func (c *Core) addSession(s *session) *session {
	c.seq++
	s.seq = c.seq
	s.state = PlayerStateInitialized
	s.clock = timer{seq: c.seq, session: s}
	c.seq++
	s.postpone = timer{seq: c.seq, session: s, news: true}
	c.refs[s.ref] = s
	if !s.implicit {
		c.sessions[s.token] = s
		c.changed = true
	}
	c.wind(s)
	return s
}

// wind starts the clock of s anew with the full timeout, or lets it stand still
// while something of it is on its way to be heard.
func (c *Core) wind(s *session) {
	if s.ended {
		return
	}
	s.until = time.Time{}
	if s.live == 0 {
		s.until = c.now.Add(c.cfg.Timeout)
	}
	c.timers.set(&s.clock, s.until)
	c.touched(s)
}

// endSession ends everything of s, then s. Its ids are never given out again.
func (c *Core) endSession(s *session, reason string) {
	if s.ended {
		return
	}
	s.ended = true
	for _, p := range slices.Clone(s.playbacks) {
		c.end(p, ending{kind: EventStopped, reason: reason})
	}
	c.timers.set(&s.clock, time.Time{})
	c.timers.set(&s.postpone, time.Time{})
	delete(c.refs, s.ref)
	c.used.add(usedRef, s.ref)
	if !s.implicit {
		delete(c.sessions, s.token)
		c.used.add(usedToken, s.token)
		c.gone = append(c.gone, s.ref)
		c.changed = true
	}
}

func (c *Core) open(in Open) {
	in.Session = ""
	problem := ""
	switch {
	case in.Token == "" || c.sessions[in.Token] != nil || c.used.has(usedToken, in.Token):
		problem = "the token of a session must be new"
	case in.Ref == "" || c.refs[in.Ref] != nil || c.used.has(usedRef, in.Ref):
		problem = "the ref of a session must be new"
	}
	if _, ok := c.enter(in.Request, problem); !ok {
		return
	}
	if len(c.sessions) >= c.cfg.MaxSessions {
		c.refuse(in.Request, nil, TooManySessions, fmt.Sprintf("%d sessions are open", len(c.sessions)))
		return
	}
	if id, ok := c.unknown(in.Speakers); ok {
		c.refuse(in.Request, nil, SpeakerNotFound, c.noSpeaker(id))
		return
	}
	s := c.addSession(&session{
		token: in.Token, ref: in.Ref,
		priority:  priorityOf(in.Request, nil),
		selection: selectionOf(in.AllSpeakers, in.Speakers),
	})
	c.done(in.Request, s, Result{Token: s.token, Expires: s.until})
}

func (c *Core) close(in Close) {
	s, ok := c.enter(in.Request, "")
	switch {
	case !ok:
	case s == nil:
		c.refuse(in.Request, nil, SessionNotFound, "a session is needed for this command")
	default:
		c.endSession(s, ReasonClosed)
		c.done(in.Request, s, Result{})
	}
}

func (c *Core) read(in Read) {
	s, ok := c.enter(in.Request, "")
	if !ok {
		return
	}
	res := Result{}
	if s != nil {
		res.Expires = s.until
		if p := s.foremost(); p != nil {
			res.Playback = p.id
		}
	}
	c.done(in.Request, s, res)
}

// foremost is the playing, suspended or paused playback of s, nil if it has none.
func (s *session) foremost() *playback {
	var best *playback
	for _, p := range s.playbacks {
		switch {
		case p.holds():
			if best == nil || !best.holds() || p.announcement() {
				best = p
			}
		case p.phase == PhasePaused && best == nil:
			best = p
		}
	}
	return best
}

// memory keeps the ids that ended lately, so that a mistake of the caller shows
// instead of giving one client another's session. Its size is bounded.
type memory struct {
	known map[usedID]struct{}
	ring  []usedID
	next  int
}

type usedID struct {
	kind byte
	id   string
}

const (
	usedToken    = 't'
	usedRef      = 'r'
	usedPlayback = 'p'

	memorySize = 30_000
)

func (m *memory) has(kind byte, id string) bool {
	_, ok := m.known[usedID{kind, id}]
	return ok
}

func (m *memory) add(kind byte, id string) {
	u := usedID{kind, id}
	if len(m.ring) < memorySize {
		m.ring = append(m.ring, u)
	} else {
		delete(m.known, m.ring[m.next])
		m.ring[m.next] = u
		m.next = (m.next + 1) % memorySize
	}
	m.known[u] = struct{}{}
}
