package speaker

import "sync"

// mailbox hands things to one goroutine without ever making the sender wait.
type mailbox[T any] struct {
	mu    sync.Mutex
	items []T
	mail  chan struct{} // holds a token while there may be something
}

func newMailbox[T any]() *mailbox[T] {
	return &mailbox[T]{mail: make(chan struct{}, 1)}
}

func (m *mailbox[T]) put(item T) {
	m.mu.Lock()
	m.items = append(m.items, item)
	m.mu.Unlock()
	wake(m.mail)
}

func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

// wake leaves a token in a channel of capacity one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
