"""Office and shop mail put together at random: tables, buttons, headings, words that mean nothing side by side.

Teaches the model that a business-like page is not suspect because its words were not seen together before. All of it
is legitimate; the words are everyday ones, none is a lure. Written for Mailweir.
"""

import random
from collections.abc import Iterator

from analytics.learning.blank import blank_mail
from analytics.learning.layouts import as_html, as_plain
from analytics.learning.texts import Draft

_COUNT = 1000
_PARTS = 4  # as texts.own_examples
_VOCABULARY = {
    "en": "we you they i this that which each another and or but then because while into over under between during "
    "without again always usually perhaps early late monday morning evening spring autumn year quarter half double "
    "account address adviser answer archive article assistant audience bag basket batch bench board branch bridge "
    "brochure budget building cable calendar card case catalogue chapter class clerk client code colour committee "
    "company computer concept contract copy corner council counter course cover crew customer cycle date deadline "
    "delivery department depot desk detail device diagram director discount dispatch document door draft drawer driver "
    "edition editor email engine entry estimate evaluation event exchange exhibition expert factory feedback fee file "
    "filter finance floor folder form freight garden goal guide hall handbook hour idea index insurance interview "
    "invoice item journal keyboard kitchen label laptop launch layout ledger letter level library licence list "
    "lunch machine manager manual map margin market material measure meeting member memo method minute model module "
    "monitor network note notice number offer office operator option order outline package page panel paper parcel "
    "partner password payment phase phone picture plan platform point policy portal position poster price printer "
    "procedure process product profile program project protocol purchase quality quantity question queue quote rack "
    "range rate reader receipt record reference refund region register release reminder rent repair reply report "
    "request reservation result return review roof room route row rule sample schedule screen season section server "
    "service session shelf shift shipment shop signature site size slot software source staff stage standard station "
    "statement status step stock storage store street subject subscription summary supplier support survey switch "
    "system table task team template term ticket time title tool topic total tour track trade train transfer transport "
    "travel trial truck unit update upgrade user valley value van vendor version visit voucher warehouse warranty "
    "website week weight window work workshop yard year zone accept add agree arrange ask attach bring build buy call "
    "carry change check choose close collect compare complete confirm contact continue could create deliver discuss "
    "expect explain extend find finish follow forward give have help hold improve include inform install invite join "
    "keep know learn let look make mark may meet might move must need open pay prepare present provide publish put "
    "read receive remind replace send share ship should show sign start stay stop store take tell thank try turn "
    "wait welcome will would write your our their his her its",
    "de": "wir sie ihr und oder aber dann weil ohne noch schon immer gerne bitte danke Angebot Anfrage Anlage Auftrag "
    "Bericht Bestellung Besuch Büro Datei Entwurf Frist Gebäude Gespräch Kalender Konto Kunde Lager Lieferung Liste "
    "Montag Muster Nummer Ordner Plan Preis Projekt Rechnung Schulung Seite Stelle System Tabelle Team Termin "
    "Urlaub Vertrag Werk Woche Zahl Zeit Zimmer anrufen bestellen bringen fragen geben kommen liefern machen prüfen "
    "schicken sehen senden warten wissen zeigen",
    "fr": "nous vous et ou mais avec sans encore toujours merci bonjour agenda article atelier bureau calendrier "
    "commande compte contrat devis dossier entrepôt facture fichier formation liste livraison magasin modèle numéro "
    "page prix produit projet rapport rendez-vous réunion salle semaine service stock tableau tâche version visite "
    "appeler attendre envoyer recevoir vérifier préparer partager",
    "it": "noi voi e o ma con senza ancora sempre grazie agenda articolo ufficio calendario cliente ordine conto "
    "contratto preventivo fattura documento elenco consegna magazzino modello numero pagina prezzo prodotto progetto "
    "rapporto riunione sala settimana servizio tabella versione visita chiamare inviare ricevere controllare preparare",
}
_LANGUAGES = ("en",) * 7 + ("de", "fr", "it")
_PEOPLE = [
    "Amelie",
    "Bruno",
    "Celia",
    "Dario",
    "Edda",
    "Felix",
    "Greta",
    "Henrik",
    "Iris",
    "Jakob",
    "Kira",
    "Leon",
    "Mona",
    "Nora",
    "Oskar",
    "Petra",
]
_FAMILIES = [
    "Abbott",
    "Berger",
    "Conti",
    "Duran",
    "Ek",
    "Faber",
    "Gruber",
    "Holm",
    "Iversen",
    "Janssen",
    "Kramer",
    "Lund",
    "Moser",
    "Nowak",
]
_FIRMS = (
    "Tidewater Tools",
    "Lark Office",
    "Ferry Lane Printing",
    "Birch Foods",
    "Signal Works",
    "Stone Bridge Logistics",
)
_OPENINGS = (
    "Dear {0},",
    "Hello {0},",
    "Hi {0}",
    "Good morning,",
    "{0},",
    "To all",
    "Hallo {0},",
    "Bonjour {0},",
    "Ciao {0},",
)
_ENDINGS = ("Kind regards", "Best wishes", "Thanks", "Many thanks and see you soon", "Regards", "Viele Grüße", "Merci")
_SUBJECTS = (
    "Order {n} has left our {0}", "Invoice {n} - {0} {1}", "Minutes: {0} and {1}", "Your {0} password was reset",
    "Reminder: {0} on {1}", "Re: {0} {1}", "Weekly {0} report", "Booking {n}", "{0} {1} {2}", "Fwd: {0}",
    "New {0} in your {1}", "Ticket {n}: {0}", "{0} statement {n}", "Agenda for the {0} {1}", "Delivery note {n}",
)  # fmt: skip


def office_drafts(seed: int = 1) -> Iterator[Draft]:
    """Yield all of them; none is bad."""
    for number in range(_COUNT):
        yield Draft(office_mail, f"{seed}/office/{number}", is_bad=False, part=f"own-{number % _PARTS + 1}")


def office_mail(rng: random.Random) -> bytes:
    """Return one message of 1 to 12 KB with CRLF line ends."""
    words = _VOCABULARY[rng.choice(_LANGUAGES)].split()
    rng.shuffle(words)
    words = words[: rng.choice((40, 90, 400))]
    writer, reader, firm = rng.choice(_PEOPLE), rng.choice(_PEOPLE), rng.choice(_FIRMS)
    name, site = f"{writer} {rng.choice(_FAMILIES)}", f"{firm.split()[0].lower()}{rng.randrange(60)}.example"
    mail = blank_mail()
    mail["From"] = f"{name} <{writer.lower()}@{site}>"
    mail["To"] = f"{reader.lower()}@customer{rng.randrange(99)}.example"
    mail["Subject"] = rng.choice(_SUBJECTS).format(*rng.sample(words, 3), n=rng.randrange(10**6))
    mail["Date"] = "Mon, 02 Nov 2026 10:00:00 +0000"
    mail["Message-ID"] = f"<{rng.randrange(10**12):x}@{site}>"
    paragraphs = [
        rng.choice(_OPENINGS).format(reader),
        *(_paragraph(words, rng) for _ in range(rng.randrange(2, 18))),
        f"{rng.choice(_ENDINGS)},\n{name}\n{firm}, {rng.randrange(1, 99)} {rng.choice(words).capitalize()} Road",
    ]
    link = f"https://www.{site}/{rng.choice(('p', 'orders', 'doc', 'u'))}/{rng.randrange(10**8)}"
    shape = rng.choice(("plain", "html", "both", "both", "both"))
    if shape != "html":
        mail.set_content(as_plain(paragraphs, link, rng))
    if shape != "plain":
        markup = as_html(_with_headings(paragraphs, words, rng), link, _sentence(words, rng)[:60], "", rng)
        markup = markup.replace("</p>", f'</p><p><a href="{link}">{_sentence(words, rng)}</a></p>', rng.randrange(4))
        mail.set_content(markup, subtype="html") if shape == "html" else mail.add_alternative(markup, subtype="html")
    return mail.as_bytes()


def _with_headings(paragraphs: list[str], words: list[str], rng: random.Random) -> list[str]:
    return [rng.choice(words).capitalize(), *paragraphs] if rng.random() < 0.5 else paragraphs


def _paragraph(words: list[str], rng: random.Random) -> str:
    """Sentences, a list or a table."""
    kind = rng.random()
    if kind < 0.15:
        return "\n".join(
            f"| {rng.choice(words)} | {rng.randrange(1, 20)} | {rng.uniform(3, 900):.2f}" for _ in range(4)
        )
    if kind < 0.25:
        return "\n".join(f"* {_sentence(words, rng)}" for _ in range(rng.randrange(2, 6)))
    return " ".join(_sentence(words, rng) for _ in range(rng.randrange(1, 6)))


def _sentence(words: list[str], rng: random.Random) -> str:
    return " ".join(rng.choices(words, k=rng.randrange(4, 16))).capitalize() + rng.choice("..?!")
