"""Tells, one JSON object a line, which MQTT and HTTP services come and go on the
LAN, as python-zeroconf sees them: the library by which Home Assistant finds things.
Ends when its standard input does."""
import json
import sys

from zeroconf import IPVersion, ServiceBrowser, Zeroconf


def tell(**what):
    print(json.dumps(what), flush=True)


class Listener:
    def add_service(self, zc, kind, name):
        info = zc.get_service_info(kind, name, timeout=5000)
        if info is None:
            tell(event="unresolved", name=name)
            return
        tell(
            event="added",
            name=name,
            host=info.server,
            port=info.port,
            addresses=info.parsed_addresses(IPVersion.V4Only),
            text={k.decode(): (v or b"").decode() for k, v in info.properties.items()},
        )

    def update_service(self, zc, kind, name):
        pass

    def remove_service(self, zc, kind, name):
        tell(event="removed", name=name)


zc = Zeroconf(ip_version=IPVersion.V4Only)
browser = ServiceBrowser(zc, ["_mqtt._tcp.local.", "_http._tcp.local."], Listener())
sys.stdin.read()
zc.close()
