package broker

import "strings"

// Client is who asks to connect.
type Client struct {
	ID       string // MQTT client id
	Username string
	Password []byte
	Hub      string // id of the hub that connects in process; "" for everyone else
}

// Access decides who may do what. What it does not allow is denied. Hubs in this
// process are not asked about: their rules are fixed.
type Access interface {
	// Connect tells who a client is. Two clients of the same name may take over each
	// other's client id; others may not. ok is false if it must not connect.
	Connect(c Client) (name string, ok bool)
	// MayPublish tells whether a client of that name may publish on a topic, wills included.
	MayPublish(name, topic string) bool
	// MaySubscribe tells whether a client of that name may subscribe to a filter, the
	// $share/<group>/ of a shared one taken off. It is asked again for each message,
	// with its topic, so that a wide filter yields no more than is allowed.
	MaySubscribe(name, filter string) bool
}

// Open lets everyone in, with whatever credentials: for loopback, where whoever
// can connect can do as they like anyway. What hubs say, only hubs may say.
type Open struct{}

// Connect lets everyone in.
func (Open) Connect(Client) (string, bool) { return "anyone", true }

// MayPublish allows every topic but the broker's own and those of hubs.
func (Open) MayPublish(_, topic string) bool { return !ReservedForHubs(topic) }

// MaySubscribe allows every filter.
func (Open) MaySubscribe(string, string) bool { return true }

// ReservedForHubs tells whether only the hub itself may publish on a topic:
// hkw/<hub>/status, event, result and reply, with everything below.
func ReservedForHubs(topic string) bool {
	rest, ok := strings.CutPrefix(topic, "hkw/")
	if !ok {
		return false
	}
	_, rest, _ = strings.Cut(rest, "/")
	first, _, _ := strings.Cut(rest, "/")
	switch first {
	case "status", "event", "result", "reply":
		return true
	}
	return false
}

// identity is the owner of a client id: a hub of this process, or a name that Access gave.
type identity struct {
	hub  string
	name string
}

func (b *Broker) mayPublish(who identity, topic string) bool {
	if strings.HasPrefix(topic, "$") || strings.ContainsAny(topic, "+#\x00") || !b.reasonable(topic) {
		return false
	}
	if who.hub != "" {
		return strings.HasPrefix(topic, "hkw/"+who.hub+"/") || !ReservedForHubs(topic)
	}
	return b.cfg.Access.MayPublish(who.name, topic)
}

func (b *Broker) maySubscribe(who identity, filter string) bool {
	if !b.reasonable(filter) {
		return false
	}
	return who.hub != "" || b.cfg.Access.MaySubscribe(who.name, unshared(filter))
}

// unshared takes $share/<group>/ off a filter. The library takes it in any case.
func unshared(filter string) string {
	share, rest, ok := strings.Cut(filter, "/")
	if !ok || !strings.EqualFold(share, "$share") {
		return filter
	}
	_, rest, _ = strings.Cut(rest, "/")
	return rest
}

// reasonable bounds what the topic tree has to walk: a topic of 65,000 levels
// keeps it busy for seconds.
func (b *Broker) reasonable(topic string) bool {
	return topic != "" && len(topic) <= b.cfg.MaxTopicBytes && strings.Count(topic, "/") < b.cfg.MaxTopicLevels
}
