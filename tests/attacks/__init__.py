"""Rewrites of messages as scammers do it, and how many warnings survive. Apart from what training does itself."""
