/* What the program and the agent say to each other: keys and values of the maps. Integers of packets are in network
 * byte order, all others in the machine's. redirect/nodegate_redirect/ebpf/maps.py has the same layouts. */
#ifndef NODEGATE_REDIRECT_H
#define NODEGATE_REDIRECT_H

/* An address and a port that clients connect to; IPv4 as ::ffff:a.b.c.d. */
struct place {
	__be32 address[4];
	__be16 port;
	__u16 zero;
};

/* Where it goes. Port 0: connections are refused. */
struct target {
	__be16 port;
	__u8 restricted;
	__u8 zero;
};

/* First packets of connections, and the later ones of those that a listener has. */
struct count {
	__u64 connections;
	__u64 packets;
	__u64 bytes;
};

/* Who may connect to a restricted place: the longest prefix of place and client that is there. */
struct client {
	__u32 prefix;
	struct place place;
	__be32 address[4];
};

/* What happened to packets; the agent shows each by its name. */
enum event {
	TO_LISTENER, /* the first packet of a connection */
	BY_COOKIE, /* the same, when the listener answered it with a SYN cookie */
	ESTABLISHED, /* a packet of a connection that a listener has */
	LATE, /* a packet of a connection that has ended on our side (TIME_WAIT) */
	REFUSED, /* nothing listens */
	FORBIDDEN, /* the client is in none of the place's source ranges */
	FAILED, /* the kernel would not assign the socket */
	NOT_UNDERSTOOD, /* options, fragments, extension headers: passed on untouched */
	EVENTS
};

#endif
