package session

import "time"

// Core is the state of one hub. It is not safe for concurrent use: one
// goroutine owns it.
type Core struct{ cfg Config }

// New makes an idle core without speakers.
func New(cfg Config) *Core { return &Core{cfg: cfg} }

// Step does what has become due at now, applies in, and returns what the caller
// must carry out. now must not run backwards. The returned slice is valid until
// the next Step.
func (c *Core) Step(now time.Time, in Input) []Effect { return nil }

// Deadline is when Step wants to be called next if nothing else happens.
func (c *Core) Deadline() (time.Time, bool) { return time.Time{}, false }

// View describes the hub as it is after the last Step.
func (c *Core) View() View { return View{} }

// Session finds a live session by its token.
func (c *Core) Session(now time.Time, token string) (SessionView, bool) { return SessionView{}, false }
