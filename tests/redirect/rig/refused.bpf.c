/* A program that no verifier takes: it reads a packet without a look at its end. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	return *(char *)(long)skb->data;
}

char _license[] SEC("license") = "GPL";
