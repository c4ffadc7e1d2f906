# Snapserver from Debian. The project itself publishes no image (its issue 946), and
# a package that a distribution keeps is better than an image that nobody may.
FROM debian:13-slim
RUN apt-get update && apt-get install -y --no-install-recommends snapserver && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65534 -g 65534 /var/lib/snapserver
USER 65534:65534
VOLUME /var/lib/snapserver
EXPOSE 1704 1705 1780 4953
ENTRYPOINT ["/usr/bin/snapserver", "--config", "/etc/snapserver.conf", "--logging.sink", "stdout"]
