package bridge

import (
	"context"
	"slices"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// What the client does outside hkw/<hub>/. A broker that does not let it costs the
// hub nothing else: refusals are said and borne, and publishing is without
// acknowledgement, because some brokers end the connection of who publishes with
// one where it may not.

// publish hands a message to the broker.
func (c *client) publish(paho mqtt.Client, m message) mqtt.Token {
	if m.whole {
		return paho.Publish(m.topic, 0, m.retained, m.payload)
	}
	return paho.Publish(c.out.prefix+m.topic, qos, m.retained, m.payload)
}

// askOutside asks for what an earlier run has announced. It arrives like everything
// that is retained.
func (c *client) askOutside(ctx context.Context, paho mqtt.Client) {
	if c.home.cfg.Prefix == "" {
		return
	}
	if err := subscribeWhole(ctx, paho, c.home.cfg.deviceTopic(c.hub)); err != nil {
		c.log.Warn().Err(err).Msg("cannot read what Home Assistant was told before")
	}
}

// greetOutside takes in what came of that, and listens for Home Assistant.
func (c *client) greetOutside(ctx context.Context, paho mqtt.Client, got *arrivals) {
	if c.home.cfg.Prefix == "" {
		return
	}
	topic := c.home.cfg.deviceTopic(c.hub)
	paho.Unsubscribe(topic)
	c.home.found(got.read(got.outside, topic))
	if err := subscribeWhole(ctx, paho, c.home.cfg.births()...); err != nil {
		c.log.Warn().Err(err).Msg("cannot hear when Home Assistant starts")
	}
}

// receiveOutside sorts a message that is not below hkw/<hub>/.
func (c *client) receiveOutside(m mqtt.Message, got *arrivals) {
	if slices.Contains(c.home.cfg.births(), m.Topic()) {
		if !m.Retained() && string(m.Payload()) == bornPayload {
			c.home.born()
		}
		return
	}
	if m.Retained() {
		got.mu.Lock()
		got.outside[m.Topic()] = m.Payload()
		got.mu.Unlock()
	}
}
