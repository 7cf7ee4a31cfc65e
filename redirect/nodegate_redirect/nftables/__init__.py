"""Redirects by one table of nftables: ``rules`` says as text what it holds, ``mode`` makes the kernel hold it."""

from nodegate_redirect.nftables.mode import NftablesMode

__all__ = ["NftablesMode"]
